//! The way of a reader through threads: which was open before, how they came to the next, and how much of each they saw.
//! Kept in the page's memory alone, and told on as numbers.

import { measured } from '@threadmill/client';
import { countSeen, countShown, countSwitch, type Way } from './counts';
import { isControl, isCounted } from './report';

/** Threads that are known to have been open in this page. */
const OPENED = 1_000;

/** The threads of the list as they are shown. */
let order: readonly string[] = [];
/** The open thread and the one before it. */
let here: string | undefined;
let before: string | undefined;
let fromSearch = false;
const opened = new Set<string>();
/** What was seen of the open thread. */
let look: { total: number; back: number; pages: number; asking: boolean } | undefined;

/** Whoever fetches ahead, and learns. */
interface Listener {
  /** The thread is opened; says whether it had been fetched. */
  had(threadId: string): boolean;
  switched(from: string, to: string, way: Way): void;
  /** The open thread is left; so many messages back were seen. */
  left(back: number): void;
}

let listener: Listener | undefined;

export function connect(prefetcher: Listener): void {
  listener = prefetcher;
}

/** The list shows these threads now, in this order: all of them, and not those that the reader looks for. */
export function noteOrder(ids: readonly string[]): void {
  order = ids;
}

/** Whether the list is there. */
export function isListed(): boolean {
  return order.length > 0;
}

/** The threads after and before one in the list. */
export function neighbours(threadId: string): readonly string[] {
  const at = order.indexOf(threadId);
  return at < 0 ? [] : [order[at + 1], order[at - 1]].filter(id => id !== undefined);
}

/** The thread that was open before the open one. */
export function previous(): string | undefined {
  return before;
}

/** Whether a thread was open in this page. */
export function wasOpened(threadId: string): boolean {
  return opened.has(threadId);
}

/** The reader chose the thread to open from what they searched for. */
export function noteSearch(): void {
  fromSearch = true;
}

function wayTo(threadId: string): Way {
  if (fromSearch) return 'search';
  if (threadId === before) return 'previous';
  return here !== undefined && neighbours(here).includes(threadId) ? 'next' : 'other';
}

/** A thread is opened. Returns what to call when it is shown, with the milliseconds that took. */
export function enter(threadId: string): (ms: number) => void {
  leave();
  look = { total: 0, back: 0, pages: 0, asking: false };
  const isFirst = here === undefined;
  const isSwitch = !isFirst && here !== threadId;
  const isNew = !opened.has(threadId);
  if (opened.size < OPENED) opened.add(threadId);
  const fetched = listener?.had(threadId) ? 'hit' : 'miss';
  if (here !== undefined && isSwitch) {
    const way = wayTo(threadId);
    if (isCounted()) countSwitch(way);
    listener?.switched(here, threadId, way);
    before = here;
  }
  fromSearch = false;
  here = threadId;
  return ms => {
    if (isSwitch) measured('switch', ms);
    // The first thread comes with the page, and one that was open before needs no fetching.
    if (!isFirst && isNew && isCounted()) countShown(ms, fetched, isControl());
  };
}

/** This message is the first in view. */
export function see(depth: number, total: number): void {
  if (!look) return;
  look.total = Math.max(look.total, total);
  look.back = Math.max(look.back, total - depth);
}

/** A page of older messages is asked for. Whoever asks again while it is on its way gets the same one. */
export function askOlder<T>(page: Promise<T>): Promise<T> {
  const of = look;
  if (!of) return page;
  if (!of.asking) of.pages += 1;
  of.asking = true;
  return page.finally(() => {
    of.asking = false;
  });
}

/** The open thread is left, or the page is. */
export function leave(): void {
  if (!look) return;
  if (isCounted()) countSeen(look);
  if (look.total > 0) listener?.left(look.back);
  look = undefined;
}
