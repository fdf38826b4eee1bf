//! The hour of series that the graphs are drawn from: answers that overlap become one, and it never grows past its bounds.

import { expect, test } from 'vitest';
import { drawable, METRICS, newest, PANELS, share, sum, worst } from '../src/ops/charts/panels';
import { Fields } from '../src/ops/data/fields';
import {
  type History,
  historyOf,
  lastMinutes,
  merged,
  NOTHING,
  POINTS,
  SERIES,
} from '../src/ops/data/series';

const START = Date.parse('2026-11-29T12:00:00Z');

/** An answer whose newest point is `to` seconds after the start. */
function answer(to: number, series: Record<string, (number | null)[]>): History {
  return historyOf(
    new Fields({
      stepSeconds: 10,
      to: new Date(START + to * 1_000).toISOString(),
      series: Object.entries(series).map(([name, points]) => ({ name, labels: {}, stat: 'value', points })),
    }),
  );
}

const pointsOf = (history: History, name: string) => history.lines.find(line => line.name === name)?.points;

test('an answer that overlaps what is known goes on from it, and its points stand', () => {
  const known = merged(NOTHING, answer(30, { a: [1, 2, null, 4] }));
  const both = merged(known, answer(51, { a: [3, 40, 5, 6], b: [null, 1, 1, 1] }));
  expect(both.times.map(time => time - START / 1_000)).toEqual([0, 10, 20, 30, 40, 50]);
  expect(pointsOf(both, 'a')).toEqual([1, 2, 3, 40, 5, 6]);
  expect(pointsOf(both, 'b')).toEqual([null, null, null, 1, 1, 1]);
});

test('what was missed in between is a gap and no line', () => {
  const both = merged(answer(10, { a: [1, 2] }), answer(60, { a: [7, 8] }));
  expect(pointsOf(both, 'a')).toEqual([1, 2, null, null, null, 7, 8]);
});

test('an hour is kept, whatever comes', () => {
  let history = NOTHING;
  for (let to = 0; to < 7_200; to += 60) {
    const points = Object.fromEntries(Array.from({ length: 3 }, (_, n) => [`${n}`, Array(12).fill(to)]));
    history = merged(history, answer(to, points));
  }
  expect(history.times).toHaveLength(POINTS);
  for (const { points } of history.lines) expect(points).toHaveLength(POINTS);
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`s${n}`, [1]]));
  expect(merged(history, answer(7_200, many)).lines).toHaveLength(SERIES);
});

test('a series that is gone for an hour is forgotten', () => {
  const old = answer(0, { gone: [1] });
  expect(merged(old, answer(3_600, { here: [1] })).lines.map(({ name }) => name)).toEqual(['here']);
});

test('a clock of the node that went back, and an answer without points, break nothing', () => {
  const known = answer(600, { a: Array(61).fill(1) });
  const back = merged(known, answer(60, { a: [5, 6] }));
  expect(back.times.at(-1)).toBe(START / 1_000 + 60);
  expect(back.times.length).toBeLessThanOrEqual(POINTS);
  expect(newest(pointsOf(back, 'a') ?? [])).toBe(6);
  expect(merged(known, NOTHING)).toBe(known);
  expect(historyOf(new Fields({ stepSeconds: 0, to: 'x' }))).toEqual(NOTHING);
});

test('points of other lengths end at the same time', () => {
  const history = answer(30, { a: [1, 2, 3], b: [9] });
  expect(pointsOf(history, 'b')).toEqual([null, null, 9]);
  expect(lastMinutes(history, 1).times).toHaveLength(3);
  expect(lastMinutes({ ...history, stepSeconds: 60 }, 1).lines[0]?.points).toEqual([3]);
});

test('lines are sums, the worst, and shares; nothing of nothing', () => {
  const history: History = {
    stepSeconds: 10,
    times: [0, 10, 20],
    lines: [
      { name: 'm', stat: 'rate', labels: { outcome: 'hit' }, points: [3, null, 0] },
      { name: 'm', stat: 'rate', labels: { outcome: 'miss' }, points: [1, null, 0] },
      { name: 'm', stat: 'p50', labels: {}, points: [9, 9, 9] },
    ],
  };
  expect(sum('m', 'rate')(history)).toEqual([4, null, 0]);
  expect(sum('m', 'rate', { outcome: 'hit' })(history)).toEqual([3, null, 0]);
  expect(worst('m', 'rate')(history)).toEqual([3, null, 0]);
  expect(share([sum('m', 'rate', { outcome: 'hit' })], [sum('m', 'rate')])(history)).toEqual([
    0.75,
    null,
    null,
  ]);
});

test('graphs are drawn of what there is, and asked for in one question', () => {
  expect(METRICS.length).toBeLessThanOrEqual(32);
  expect(new Set(PANELS.map(({ id }) => id)).size).toBe(PANELS.length);
  expect(drawable(NOTHING)).toEqual([]);
  const one = answer(0, { threadmill_commit_seconds: [1] });
  expect(drawable(one).map(({ id }) => id)).toEqual(['commit']);
});
