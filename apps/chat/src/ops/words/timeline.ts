//! A run's way from its acceptance to its end, as pieces of one bar.

import type { Run } from '../data/shapes';

/** The moments of a run, in the order in which they come, with what the run does until each. */
export const STEPS = [
  { key: 'askedMs', word: 'started', of: 'Waiting to start' },
  { key: 'firstByteMs', word: 'first byte', of: 'Waiting for the provider' },
  { key: 'firstCommitMs', word: 'first commit', of: 'Committing the first piece' },
  { key: 'firstDeliveryMs', word: 'first delivery', of: 'Delivering the first piece' },
  { key: 'endedMs', word: 'end', of: 'Streaming' },
] as const;

type StepKey = (typeof STEPS)[number]['key'];

/** A piece of the bar: from the moment before to its own. */
interface Piece {
  readonly key: StepKey;
  /** What the run did meanwhile. */
  readonly of: string;
  readonly fromMs: number;
  readonly toMs: number;
  /** Whether it still goes on. */
  readonly open: boolean;
}

/** A moment of the run, for a list of them. */
interface Moment {
  readonly key: StepKey;
  readonly word: string;
  readonly ms: number | null;
}

export function momentsOf(run: Run): readonly Moment[] {
  return STEPS.map(({ key, word }) => ({ key, word, ms: run[key] }));
}

/**
 * The pieces up to now. A moment that was left out (a stop before the first byte) is no piece; moments that the clocks of
 * two threads put in the wrong order are drawn where the one before is.
 */
export function piecesOf(run: Run, nowMs: number): readonly Piece[] {
  const pieces: Piece[] = [];
  let from = 0;
  for (const { key, of } of STEPS) {
    const at = run[key];
    if (at === null) continue;
    const to = Math.max(from, at);
    pieces.push({ key, of, fromMs: from, toMs: to, open: false });
    from = to;
  }
  if (run.endedMs !== null) return pieces;
  const last = pieces.at(-1)?.key;
  // Where nobody follows, nothing is delivered: once a piece is committed the answer streams.
  const next = last === 'firstCommitMs' ? STEPS[4] : STEPS[STEPS.findIndex(({ key }) => key === last) + 1];
  if (next)
    pieces.push({ key: next.key, of: next.of, fromMs: from, toMs: Math.max(from, nowMs), open: true });
  return pieces;
}
