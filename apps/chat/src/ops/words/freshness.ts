//! How old what is shown is, and whether the node still answers. Nothing on the page looks current that is not.

import type { Known } from '../data/poll';

/** A question may take this long before the page says that the node is silent. */
const SILENT_MS = 10_000;
/** Times its interval that an answer may be old. */
const INTERVALS = 3;

/**
 * `waiting`: nothing was answered yet. `fresh`: as current as the interval makes it. `old`: the answer is older than it
 * should be, and nothing says why. `paused`: nobody asks. `silent`: the node did not answer the last question. `failed`: it
 * answered that it cannot. `locked`: it wants a token. `off`: there is no ops page at this node.
 */
export type Freshness = 'waiting' | 'fresh' | 'old' | 'paused' | 'silent' | 'failed' | 'locked' | 'off';

/** How current an answer is at a moment. */
export function freshness(known: Known<unknown>, everyMs: number, now: number, paused: boolean): Freshness {
  const { answeredAt, failure } = known;
  if (failure?.kind === 'token') return 'locked';
  if (failure?.kind === 'off') return 'off';
  const age = answeredAt === undefined ? undefined : now - answeredAt;
  if (failure) {
    // One question that was lost on the way is no news while the answer before it is current.
    const current = age !== undefined && age < Math.max(everyMs * INTERVALS, SILENT_MS);
    if (!current) return failure.kind === 'silent' ? 'silent' : 'failed';
  }
  if (paused) return 'paused';
  if (age === undefined) return 'waiting';
  return age < Math.max(everyMs * INTERVALS, SILENT_MS) ? 'fresh' : 'old';
}

/** What time it is at the node: its clock when it answered, and what has gone by here since. Clocks may differ. */
export function nodeNow(at: number | null, answeredAt: number | undefined, now: number): number {
  return at === null || answeredAt === undefined ? now : at + (now - answeredAt);
}
