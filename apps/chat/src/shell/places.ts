//! Where the reader was in each thread: the branch, if it is not the one that opens by itself, and the message at the top of
//! the view. Kept by this browser, for the threads that were read last. At the end of a thread there is no place to
//! keep: whoever reads there wants what is new.

import type { Anchor } from '@threadmill/client';
import { ifAllowed } from './browser';
import { forgetChoice, storeChoice, storedChoice } from './choices';

/** The message the reader was at, and how far below the top of the view it began, in pixels. */
export interface Spot {
  readonly message: string;
  readonly top: number;
}

/** A place in a thread. */
export interface Place {
  readonly branch?: string;
  readonly spot?: Spot;
}

const KEY = 'threadmill.places';
/** Threads whose place is kept: about 16 KB. */
const THREADS = 100;

/** A text that is longer was not stored here. */
const LONGEST = 256 * 1024;
/** Pixels: no row is higher, and none begins farther below the top of a view. */
const FARTHEST = 1_000_000;

/** The newest last. */
let places: Map<string, Place> | undefined;

/** What the storage holds is checked: it may be of another release, or of anybody. */
function parse(text: string | undefined): Map<string, Place> {
  const found = new Map<string, Place>();
  const stored = ifAllowed<unknown>(() =>
    JSON.parse(text === undefined || text.length > LONGEST ? '' : text),
  );
  if (!Array.isArray(stored)) return found;
  for (const entry of stored.slice(-THREADS)) {
    if (!Array.isArray(entry) || typeof entry[0] !== 'string') continue;
    const [, branch, message, top] = entry as unknown[];
    found.set(entry[0], {
      ...(isId(branch) && { branch }),
      ...(isId(message) && isTop(top) && { spot: { message, top } }),
    });
  }
  return found;
}

/** A server's ids are shorter. */
function isId(value: unknown): value is string {
  return typeof value === 'string' && value !== '' && value.length <= 200;
}

function isTop(value: unknown): value is number {
  return typeof value === 'number' && Math.abs(value) <= FARTHEST;
}

function held(): Map<string, Place> {
  places ??= parse(storedChoice(KEY));
  return places;
}

/** The place in a thread; empty if there is none. */
export function placeOf(threadId: string): Place {
  return held().get(threadId) ?? {};
}

/** Notes a part of the place; `undefined` forgets that part. */
export function notePlace(
  threadId: string,
  part: { branch: string | undefined } | { spot: Spot | undefined },
): void {
  const { branch, spot } = { ...placeOf(threadId), ...part };
  const all = held();
  if (branch === undefined && spot === undefined && !all.has(threadId)) return;
  all.delete(threadId);
  if (branch !== undefined || spot !== undefined) {
    all.set(threadId, { ...(branch !== undefined && { branch }), ...(spot && { spot }) });
  }
  const [oldest = threadId] = all.keys();
  if (all.size > THREADS) all.delete(oldest);
  soon ??= setTimeout(store, QUIET);
}

/** Forgets where the reader was in a thread: it is not there any more. */
export function forgetPlace(threadId: string): void {
  if (held().delete(threadId)) store();
}

/** Milliseconds between a change and its storing: scrolling changes the place with every frame. */
const QUIET = 300;
let soon: ReturnType<typeof setTimeout> | undefined;

function store(): void {
  clearTimeout(soon);
  soon = undefined;
  const entries = [...held()].map(([id, { branch, spot }]) => [id, branch ?? null, spot?.message, spot?.top]);
  if (entries.length === 0) forgetChoice(KEY);
  else storeChoice(KEY, JSON.stringify(entries));
}

/** The user signs out: nothing is remembered. */
export function forgetPlaces(): void {
  held().clear();
  store();
}

if (typeof window === 'object') {
  window.addEventListener('pagehide', () => soon !== undefined && store());
}

/** Where to open a thread: at the message that the address names, else where the reader was. */
export interface Opening {
  readonly branch?: string;
  readonly anchor?: Extract<Anchor, { at: 'message' }>;
  /** How far below the top of the view the message belongs, if it is where the reader was. */
  readonly top?: number;
}

/** A message that the address names is looked for on whatever branch has it. */
export function openingOf(threadId: string, messageId: string | undefined): Opening {
  if (messageId !== undefined) return { anchor: { at: 'message', id: messageId } };
  const { branch, spot } = placeOf(threadId);
  return {
    ...(branch !== undefined && { branch }),
    ...(spot && { anchor: { at: 'message', id: spot.message } as const, top: spot.top }),
  };
}
