//! The last hour of the node's series. It is asked for whole each time, some 100 KB: the node says when it answered and not
//! when it measured, so pieces of two answers could not be laid on one another. Bounds: [`POINTS`] points of at most
//! [`SERIES`] series, 0.6 MB.

import type { Fields } from './fields';
import { numberOf } from './fields';

/** Points of a series that are kept: an hour at ten seconds. */
export const POINTS = 360;
/** Series that are kept; the server answers no more. */
export const SERIES = 200;

/** One series. */
export interface Line {
  readonly name: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly stat: string;
  /** Oldest first; `null` where nothing was measured. As many as there are times. */
  readonly points: readonly (number | null)[];
}

/** Series over the same times. */
export interface History {
  readonly stepSeconds: number;
  /** Seconds since 1970, one a point, oldest first. */
  readonly times: readonly number[];
  readonly lines: readonly Line[];
}

export const NOTHING: History = { stepSeconds: 10, times: [], lines: [] };

function labelsOf(fields: Fields): Record<string, string> {
  return Object.fromEntries(fields.names().map(name => [name, fields.text(name)]));
}

/** An answer as a history: the newest points of it, a step apart, up to when it was given. */
export function historyOf(answer: Fields): History {
  const step = answer.number('stepSeconds');
  const to = answer.time('to');
  if (step === null || step <= 0 || to === null) return NOTHING;
  const lines = answer
    .list('series', line => ({
      name: line.text('name'),
      labels: labelsOf(line.inside('labels')),
      stat: line.text('stat'),
      points: line.values('points').slice(-POINTS).map(numberOf),
    }))
    .slice(0, SERIES);
  const count = lines.reduce((most, { points }) => Math.max(most, points.length), 0);
  const times = Array.from({ length: count }, (_, at) => to / 1_000 - (count - 1 - at) * step);
  return {
    stepSeconds: step,
    times,
    lines: lines.map(line => ({ ...line, points: padded(line.points, count) })),
  };
}

/** Missing points are the oldest. */
function padded(points: readonly (number | null)[], count: number): readonly (number | null)[] {
  return [...Array<null>(count - points.length).fill(null), ...points];
}

/** The last minutes of it. */
export function lastMinutes(history: History, minutes: number): History {
  const count = Math.round((minutes * 60) / history.stepSeconds);
  return {
    stepSeconds: history.stepSeconds,
    times: history.times.slice(-count),
    lines: history.lines.map(line => ({ ...line, points: line.points.slice(-count) })),
  };
}
