//! The hour of series that the graphs are drawn from, its bounds, and what the lines are of it.

import { expect, test } from 'vitest';
import { alone } from '../src/ops/charts/alone';
import { drawable, METRICS, PANELS, share, sum, worst } from '../src/ops/charts/panels';
import { Fields } from '../src/ops/data/fields';
import { type History, historyOf, lastMinutes, NOTHING, POINTS, SERIES } from '../src/ops/data/series';

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

test('an answer is points a step apart, up to when it was given', () => {
  const history = answer(33, { a: [1, null, 3] });
  expect(history.times.map(time => time - START / 1_000)).toEqual([13, 23, 33]);
  expect(pointsOf(history, 'a')).toEqual([1, null, 3]);
});

test('an hour of so many series is kept, the newest of it, whatever comes', () => {
  const points = Array.from({ length: 400 }, (_, n) => n);
  const long = answer(0, { a: points });
  expect([long.times.length, pointsOf(long, 'a')?.at(-1)]).toEqual([POINTS, 399]);
  const many = Object.fromEntries(Array.from({ length: 1_000 }, (_, n) => [`s${n}`, [1]]));
  expect(answer(0, many).lines).toHaveLength(SERIES);
});

test('an answer that is none is nothing', () => {
  for (const none of [{}, { stepSeconds: 0, to: '2026-11-29T12:00:00Z' }, { stepSeconds: 10, to: 'x' }]) {
    expect(historyOf(new Fields(none))).toEqual(NOTHING);
  }
  const odd = answer(0, { a: ['1', 2, {}] as unknown as number[] });
  expect(pointsOf(odd, 'a')).toEqual([null, 2, null]);
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

test('a point that stands alone is drawn as one', () => {
  expect(alone([1, null, 2, 3, null, 4])).toEqual([0, 5]);
  expect(alone([null, undefined, 0])).toEqual([2]);
  expect(alone([])).toEqual([]);
});
