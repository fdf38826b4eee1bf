//! What this page counts of how it is used, in the buckets of `crates/engine/src/analytics/measure.rs`: numbers alone. They
//! wait here until they are reported, or until it is known that nobody wants them.
//!
//! Room `habits`: how the page is used: what is counted of it for the operator, if they want it and the reader does not
//! object, and what this browser keeps for itself to fetch ahead what is opened next.

/** Ends of buckets: a number is in the first whose end it does not pass, and after the last in one more. */
const MESSAGES = [10, 25, 50, 100, 250, 1_000, 10_000];
const PAGES = [0, 1, 2, 3, 5, 10, 20];
const MILLISECONDS = [16, 33, 50, 75, 100, 150, 200, 300, 500, 1_000, 2_000];

/** How a reader comes from one thread to another. */
export const WAYS = ['next', 'previous', 'search', 'other'] as const;
export type Way = (typeof WAYS)[number];

type Measure =
  | 'visits'
  | 'reach'
  | 'back'
  | 'pages'
  | 'switches'
  | 'prefetch'
  | 'prefetchBytes'
  | 'switchWith'
  | 'switchWithout';

/** What was seen of a thread until it was left. */
export interface Seen {
  /** Messages it has. */
  readonly total: number;
  /** How many of them, from its end, were in view or below it. */
  readonly back: number;
  /** Pages of older messages that were asked for. */
  readonly pages: number;
}

let counts = new Map<Measure, number[]>();

function add(measure: Measure, bucket: number, value = 1): void {
  const row = counts.get(measure) ?? [];
  while (row.length <= bucket) row.push(0);
  row[bucket] = (row[bucket] ?? 0) + Math.round(value);
  counts.set(measure, row);
}

function bucketOf(ends: readonly number[], value: number): number {
  const at = ends.findIndex(end => value <= end);
  return at < 0 ? ends.length : at;
}

/** The page was opened. */
export function countVisit(): void {
  add('visits', 0);
}

/** A thread was left. */
export function countSeen({ total, back, pages }: Seen): void {
  if (total <= 0) return;
  const share = Math.min(1, back / total);
  add('reach', Math.max(0, Math.ceil(share * 10) - 1));
  add('back', bucketOf(MESSAGES, back));
  add('pages', bucketOf(PAGES, pages));
}

/** The reader went to another thread. */
export function countSwitch(way: Way): void {
  add('switches', WAYS.indexOf(way));
}

/** A thread was shown that was not open before in this page: had it been fetched ahead, and how long did it take? */
export function countShown(ms: number, fetched: 'hit' | 'miss', control: boolean): void {
  if (!control) add('prefetch', fetched === 'hit' ? 0 : 1);
  add(control ? 'switchWithout' : 'switchWith', bucketOf(MILLISECONDS, ms));
}

/** A thread was fetched ahead. */
export function countFetched(): void {
  add('prefetch', 2);
}

/** Bytes that came ahead, or those of them that were of use. */
export function countBytes(which: 'fetched' | 'used', bytes: number): void {
  add('prefetchBytes', which === 'fetched' ? 0 : 1, bytes);
}

/** What was counted since the last time; nothing if nothing was. */
export function takeCounts(): Record<string, number[]> | undefined {
  if (counts.size === 0) return undefined;
  const taken = Object.fromEntries(counts);
  counts = new Map();
  return taken;
}
