//! Fetches ahead what is likely to be opened next: what the pointer rests on, and, a moment after a thread is shown, what
//! follows from habit. What was fetched and not opened may be [`BUDGET`] bytes in all as long as the page lives; then
//! nothing more is fetched until some of it is opened. Not over networks whose reader pays for bytes, nor while hidden.

import type { Client } from '@threadmill/client';
import { countBytes, countFetched } from './counts';
import { goesUp, type Hints, likely } from './guess';
import { recall, rememberLook, rememberSwitch } from './memory';
import { isControl, isCounted } from './report';
import * as trail from './trail';

/** Bytes on the wire that may lie about unopened. */
const BUDGET = 1 << 20;
/** A thread whose size is not known yet. */
const GUESSED = 16 << 10;
/** Threads that lie about unopened. */
const MOST = 64;
/** Milliseconds after a thread is shown: what belongs to it comes first. */
const PAUSE = 600;
/** How often the list is waited for that long. */
const TIMES = 10;
/** Messages back from the newest that are far up: half of what a thread opens with. */
const FAR = 25;

/** What browsers have beside the standard. */
interface Network {
  readonly connection?: { readonly saveData?: boolean; readonly effectiveType?: string };
}

/** Bytes of each thread that was fetched and not opened, as far as they are known. */
const waiting = new Map<string, number | undefined>();
let hints: Hints | undefined;

/** What others do, as the server says. */
export function heedHints(said: Hints | undefined): void {
  hints = said;
}

function isCheap(): boolean {
  const { connection } = navigator as Network;
  return !connection?.saveData && !connection?.effectiveType?.includes('2g');
}

function held(): number {
  return [...waiting.values()].reduce<number>((sum, bytes) => sum + (bytes ?? GUESSED), 0);
}

/** Fetches a thread that the reader points at; one that was opened before, too: the client knows what it has. */
export function fetchWished(client: Client, threadId: string): void {
  if (!trail.wasOpened(threadId)) fetchAhead(client, threadId);
  else if (!isControl()) client.prefetch(threadId);
}

/** Fetches a thread, unless there is a reason not to. */
export function fetchAhead(client: Client, threadId: string): void {
  if (isControl() || waiting.has(threadId) || trail.wasOpened(threadId)) return;
  // The direct engine reads threads whole, and fetches none ahead.
  if (client.status.getSnapshot().engine !== 'sync') return;
  if (waiting.size >= MOST || held() >= BUDGET) return;
  waiting.set(threadId, undefined);
  watchSizes();
  client.prefetch(threadId);
  if (isCounted()) countFetched();
}

/** A thread is shown: fetches what is likely to come next. Returns what takes that back. */
export function lookAhead(client: Client, here: string): () => void {
  let timer: ReturnType<typeof setTimeout>;
  const look = (left: number) => {
    timer = setTimeout(() => {
      if (document.visibilityState === 'hidden' || !isCheap()) return;
      // The list comes after the thread, and may take its time.
      if (!trail.isListed() && left > 0) return look(left - 1);
      const at = { here, previous: trail.previous(), neighbours: trail.neighbours(here) };
      for (const id of likely(recall(), at, hints)) fetchAhead(client, id);
    }, PAUSE);
  };
  look(TIMES);
  return () => clearTimeout(timer);
}

/** Whether a page of older messages is worth having before the reader scrolls to it. */
export function wantsOlder(): boolean {
  return !isControl() && isCheap() && goesUp(recall(), hints);
}

/** A thread that was fetched ahead is opened. */
function had(threadId: string): boolean {
  if (!waiting.has(threadId)) return false;
  const bytes = waiting.get(threadId);
  waiting.delete(threadId);
  if (bytes !== undefined && isCounted()) countBytes('used', bytes);
  return true;
}

let sizes: PerformanceObserver | undefined;

/** What comes of a thread while it waits is what was fetched of it. */
function watchSizes(): void {
  if (sizes || !globalThis.PerformanceObserver?.supportedEntryTypes?.includes('resource')) return;
  sizes = new PerformanceObserver(list => {
    for (const entry of list.getEntries() as PerformanceResourceTiming[]) {
      const id = threadOf(entry.name);
      if (id === undefined || !waiting.has(id)) continue;
      const bytes = entry.encodedBodySize;
      waiting.set(id, (waiting.get(id) ?? 0) + bytes);
      if (isCounted()) countBytes('fetched', bytes);
    }
  });
  sizes.observe({ type: 'resource' });
}

/** The thread that an address is of. */
export function threadOf(address: string): string | undefined {
  const found = /\/v1\/threads\/([^/?#]+)/.exec(address)?.[1];
  try {
    return found === undefined ? undefined : decodeURIComponent(found);
  } catch {
    return undefined;
  }
}

trail.connect({
  had,
  switched: rememberSwitch,
  left: back => rememberLook(back > FAR),
});
