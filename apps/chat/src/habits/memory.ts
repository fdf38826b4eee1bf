//! What this browser remembers of how its reader goes from thread to thread, for itself alone: it is sent to nobody. The last
//! [`PAIRS`] switches, which kinds they were, and how often the reader went far up. Signing out forgets it.

import { ifAllowed } from '../shell/browser';
import { forgetChoice, storeChoice, storedChoice } from '../shell/choices';
import { WAYS, type Way } from './counts';

const KEY = 'threadmill.habits';
/** Switches that are remembered: about 24 KB. */
const PAIRS = 300;
/** A text that is longer was not stored here. */
const LONGEST = 256 * 1024;
/** What is counted is halved past that, so that what a reader did lately weighs more. */
const MOST = 100;

export interface Memory {
  /** From and to, the newest last. */
  pairs: [string, string][];
  /** Switches by their way. */
  ways: number[];
  /** Looks at threads, and those that went far up. */
  looks: [number, number];
}

let held: Memory | undefined;

const isId = (value: unknown): value is string =>
  typeof value === 'string' && value !== '' && value.length <= 200;
const isCount = (value: unknown): value is number =>
  typeof value === 'number' && value >= 0 && value <= 2 * MOST;

/** What the storage holds is checked: it may be of another release, or of anybody. */
export function parse(text: string | undefined): Memory {
  const memory: Memory = { pairs: [], ways: WAYS.map(() => 0), looks: [0, 0] };
  const stored = ifAllowed<unknown>(() =>
    JSON.parse(text === undefined || text.length > LONGEST ? '{}' : text),
  );
  if (typeof stored !== 'object' || stored === null) return memory;
  const { pairs, ways, looks } = stored as Record<string, unknown>;
  if (Array.isArray(pairs)) {
    for (const pair of pairs.slice(-PAIRS)) {
      if (Array.isArray(pair) && isId(pair[0]) && isId(pair[1])) memory.pairs.push([pair[0], pair[1]]);
    }
  }
  if (Array.isArray(ways) && ways.length === WAYS.length && ways.every(isCount)) memory.ways = ways;
  if (Array.isArray(looks)) {
    const [all, far] = looks as unknown[];
    if (isCount(all) && isCount(far)) memory.looks = [all, Math.min(all, far)];
  }
  return memory;
}

export function recall(): Memory {
  held ??= parse(storedChoice(KEY));
  return held;
}

/** The reader went from one thread to another. */
export function rememberSwitch(from: string, to: string, way: Way): void {
  const memory = recall();
  memory.pairs = [...memory.pairs, [from, to] as [string, string]].slice(-PAIRS);
  memory.ways = memory.ways.map((n, at) => n + (at === WAYS.indexOf(way) ? 1 : 0));
  if (memory.ways.reduce((a, b) => a + b) > MOST) memory.ways = memory.ways.map(n => n / 2);
  storeChoice(KEY, JSON.stringify(memory));
}

/** The reader left a thread, having gone far up or not. */
export function rememberLook(far: boolean): void {
  const memory = recall();
  const [all, many] = memory.looks;
  memory.looks = [all + 1, many + (far ? 1 : 0)];
  if (all >= MOST) memory.looks = [memory.looks[0] / 2, memory.looks[1] / 2];
  storeChoice(KEY, JSON.stringify(memory));
}

/** The user signs out. */
export function forgetHabits(): void {
  held = undefined;
  forgetChoice(KEY);
}
