//! The last hour of the node's series, put together from answers that overlap: the first brings all of it, later ones the
//! newest minutes. Bounds: [`POINTS`] points of at most [`SERIES`] series, 1.6 MB.

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

/** An answer as a history of its own. Points lie on the steps up to its end. */
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
  // On the grid of steps, so that answers that are a moment apart meet.
  const last = Math.round(to / 1_000 / step) * step;
  const times = Array.from({ length: count }, (_, at) => last - (count - 1 - at) * step);
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

function keyOf({ name, stat, labels }: Line): string {
  return JSON.stringify([name, stat, Object.entries(labels).sort()]);
}

/** What was known and what is new, the new one first where both have a point; an hour of it. */
export function merged(known: History, news: History): History {
  const newest = news.times.at(-1);
  if (newest === undefined) return known;
  const step = news.stepSeconds;
  const oldest = known.stepSeconds === step ? (known.times[0] ?? newest) : newest;
  const first = Math.max(Math.min(oldest, news.times[0] ?? newest), newest - (POINTS - 1) * step);
  const count = Math.round((newest - first) / step) + 1;
  const times = Array.from({ length: count }, (_, at) => first + at * step);
  const byKey = new Map<string, { line: Line; points: (number | null)[] }>();
  const lay = ({ times, lines, stepSeconds }: History) => {
    const from = times[0];
    if (from === undefined || stepSeconds !== step) return;
    const shift = Math.round((from - first) / step);
    for (const line of lines) {
      const key = keyOf(line);
      const there = byKey.get(key) ?? { line, points: Array<number | null>(count).fill(null) };
      if (!byKey.has(key) && byKey.size >= SERIES) continue;
      byKey.set(key, there);
      line.points.forEach((point, at) => {
        const place = at + shift;
        // What is too old, or later than a clock that went back, has no place.
        if (point !== null && place >= 0 && place < count) there.points[place] = point;
      });
    }
  };
  // Once before what was known, so that its series have their places, and once after it, so that its points stand.
  lay(news);
  lay(known);
  lay(news);
  const lines = [...byKey.values()]
    .filter(({ points }) => points.some(point => point !== null))
    .map(({ line, points }) => ({ ...line, points }));
  return { stepSeconds: step, times, lines };
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
