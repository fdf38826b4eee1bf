//! What the ops page says: the verdict and the order of what is wrong, numbers and spans, a run's pieces, places, and JSON
//! that is not as it should be.

import { describe, expect, test } from 'vitest';
import { addressOf, parsePlace } from '../src/ops/address';
import { Fields } from '../src/ops/data/fields';
import { cutOf, type Insight, runOf, summaryOf } from '../src/ops/data/shapes';
import { Frames, tracedOf } from '../src/ops/data/trace';
import { middle, row } from '../src/ops/views/analytics';
import { usedShare } from '../src/ops/views/budgets';
import { amount, compared, plural, short, span, spans, when } from '../src/ops/words/format';
import { piecesOf } from '../src/ops/words/timeline';
import { newsOf, ordered, verdictLine, verdictOf } from '../src/ops/words/verdict';

const NOW = Date.parse('2026-11-29T12:00:00Z');

const insight = (id: string, severity: string, since: string | null) => ({ id, title: id, severity, since });

function summary(verdict: string, insights: object[]) {
  return summaryOf(new Fields({ verdict, line: 'As the server says.', insights }));
}

describe('the verdict', () => {
  const bad = insight('a', 'critical', '2026-11-29T11:00:00Z');
  const odd = insight('b', 'warning', '2026-11-29T10:00:00Z');

  test.each([
    ['well', summary('ok', []), 'fresh', 'ok'],
    ['a warning', summary('watch', [odd]), 'fresh', 'watch'],
    ['something critical', summary('act', [bad]), 'fresh', 'act'],
    ['well, though something critical is named', summary('ok', [bad]), 'fresh', 'act'],
    ['a word that nobody knows', summary('splendid', []), 'fresh', 'act'],
    ['standing still', summary('watch', []), 'paused', 'watch'],
    ['well, but silent since', summary('ok', []), 'silent', 'unknown'],
    ['well, but old', summary('ok', []), 'old', 'unknown'],
    ['well, but errors since', summary('ok', []), 'failed', 'unknown'],
    ['no token', summary('ok', []), 'locked', 'unknown'],
    ['nothing yet', undefined, 'waiting', 'unknown'],
  ] as const)('%s', (_, of, freshness, want) => {
    expect(verdictOf(of, freshness)).toBe(want);
  });

  test('a silent node has no line of its own', () => {
    const well = summary('ok', []);
    expect(verdictLine(well, 'ok', 'fresh')).toBe('As the server says.');
    expect(verdictLine(well, 'unknown', 'silent')).toMatch(/does not answer/);
  });

  test('the worst is first, then what began first; what began nobody knows when is last', () => {
    const { insights } = summary('act', [
      insight('late', 'warning', '2026-11-29T11:30:00Z'),
      insight('unknown', 'warning', null),
      insight('young', 'critical', '2026-11-29T11:59:00Z'),
      insight('unknown-too', 'warning', null),
      insight('early', 'warning', '2026-11-29T10:00:00Z'),
      insight('old', 'critical', '2026-11-29T11:00:00Z'),
      insight('of no severity', '', '2026-11-29T09:00:00Z'),
    ]);
    const ids = (all: readonly Insight[]) => all.map(({ id }) => id);
    const want = ['of no severity', 'old', 'young', 'early', 'late', 'unknown', 'unknown-too'];
    expect(ids(ordered(insights))).toEqual(want);
    expect(ids(ordered(insights.toReversed()))).toEqual(want);
    expect(newsOf('act', insights.slice(0, 1))).toBe('Act now. warning: late');
  });
});

describe('numbers', () => {
  test.each([
    [null, 'count', '–'],
    [Number.NaN, 'count', '–'],
    [0, 'count', '0'],
    [1_204, 'count', '1,204'],
    [2.5, 'count', '2.50'],
    [0.712, 'share', '71.2 %'],
    [1, 'share', '100 %'],
    [0.00001, 'share', '<0.01 %'],
    [0, 'share', '0 %'],
    [210.5, 'rate', '211/s'],
    [0.31, 'seconds', '310 ms'],
    [51_200_000, 'bytes', '51.2 MB'],
    [999_600, 'bytes', '1.00 MB'],
    [0, 'bytes', '0 B'],
    [0, 'flag', 'no'],
  ] as const)('%s as %s', (value, unit, want) => {
    expect(amount(value, unit)).toBe(want);
  });

  test.each([
    [undefined, '–'],
    [0, '0 ms'],
    [999.4, '999 ms'],
    [999.6, '1.0 s'],
    [4_100, '4.1 s'],
    [59_600, '1 min'],
    [245_000, '4 min'],
    [3_599_000, '1 h'],
    [12_000_000, '3 h 20 min'],
    [86_400_000, '1 d'],
    [443_000_000, '5 d 3 h'],
    [-3, '-3.00 ms'],
  ])('a span of %s ms', (ms, want) => {
    expect(span(ms)).toBe(want);
  });

  test('two spans say their unit once', () => {
    expect(spans(310, 900)).toBe('310 · 900 ms');
    expect(spans(310, 4_000)).toBe('310 ms · 4.0 s');
    expect(spans(12_000_000, 12_000_000)).toBe('3 h 20 min · 3 h 20 min');
    expect(spans(null, null)).toBe('–');
    expect(spans(1, null)).toBe('1.00 ms · –');
  });

  test('numbers that are compared keep three figures of any size', () => {
    expect([0.00123456, -0.002, 1_234_567, 0, null].map(compared)).toEqual([
      '0.00123',
      '-0.002',
      '1,230,000',
      '0',
      '–',
    ]);
  });

  test('ids, counts and days', () => {
    expect(short('01935d40-1111-7abc-8def-0123456789ab')).toBe('…456789ab');
    expect(short('ada')).toBe('ada');
    expect([plural(1, 'run'), plural(2_000, 'run')]).toEqual(['1 run', '2,000 runs']);
    expect(when(NOW, NOW)).toMatch(/^\d\d:\d\d:\d\d$/);
    expect(when(NOW - 3 * 86_400_000, NOW)).toMatch(/26 Nov/);
  });
});

describe('a run', () => {
  const run = (rest: object) =>
    runOf(new Fields({ id: 'r', state: 'ended', acceptedAt: '2026-11-29T11:59:00Z', ...rest }));

  test('is pieces from its acceptance to its end', () => {
    const of = run({
      askedMs: 2,
      firstByteMs: 310,
      firstCommitMs: 312,
      firstDeliveryMs: 313,
      endedMs: 4_100,
    });
    expect(piecesOf(of, 9_999).map(({ fromMs, toMs, open }) => [fromMs, toMs, open])).toEqual([
      [0, 2, false],
      [2, 310, false],
      [310, 312, false],
      [312, 313, false],
      [313, 4_100, false],
    ]);
  });

  test('that waits for its provider is open there', () => {
    const pieces = piecesOf(run({ state: 'asking', askedMs: 2 }), 5_000);
    expect(pieces.at(-1)).toEqual({
      key: 'firstByteMs',
      of: 'Waiting for the provider',
      fromMs: 2,
      toMs: 5_000,
      open: true,
    });
  });

  test('that nobody follows streams once its first piece is committed', () => {
    const pieces = piecesOf(run({ state: 'streaming', askedMs: 2, firstByteMs: 3, firstCommitMs: 9 }), 50);
    expect(pieces.at(-1)).toMatchObject({ key: 'endedMs', fromMs: 9, toMs: 50, open: true });
  });

  test('without a beginning, stopped early, or with moments out of order has no piece that goes back', () => {
    expect(piecesOf(run({ endedMs: 10 }), 20)).toHaveLength(1);
    expect(piecesOf(run({ state: 'asking' }), 20).map(({ key, open }) => [key, open])).toEqual([
      ['askedMs', true],
    ]);
    const pieces = piecesOf(run({ askedMs: 5, firstByteMs: 3, endedMs: 4 }), 20);
    expect(pieces.every(({ fromMs, toMs }) => toMs >= fromMs)).toBe(true);
  });
});

describe('what comes from outside', () => {
  test('is read field by field, and cut', () => {
    const odd = summaryOf(
      new Fields({ verdict: 'ok', node: 'nobody', insights: [null, 3, 'x'], figures: [] }),
    );
    expect(odd.node.name).toBe('');
    expect(odd.insights).toHaveLength(3);
    expect(odd.figures.number('connections')).toBeNull();
    expect(new Fields({ rows: Array(10_000).fill({}) }).list('rows', row => row)).toHaveLength(500);
    expect(new Fields({ text: 'a'.repeat(1e6) }).text('text')).toHaveLength(20_000);
    expect(new Fields({ n: '5' }).number('n')).toBeNull();
    expect(new Fields({}).text('constructor')).toBe('');
    expect(new Fields({ at: 'yesterday' }).time('at')).toBeNull();
    for (const none of [null, undefined, 'text', [1], 4])
      expect(cutOf(new Fields(none), 'x', row => row).rows).toEqual([]);
  });

  test('server-sent events are whole however they are cut', () => {
    const text =
      'event: trace\ndata: {"kind":"chunks"}\n\n: beat\n\nevent: end\r\ndata: {"why":\ndata: "over"}\r\n\r\n';
    const want = [
      { event: 'trace', data: '{"kind":"chunks"}' },
      { event: 'end', data: '{"why":\n"over"}' },
    ];
    for (let size = 1; size < 12; size += 1) {
      const frames = new Frames();
      const pieces = text.match(new RegExp(`[^]{1,${size}}`, 'g')) ?? [];
      expect(pieces.flatMap(piece => frames.push(piece))).toEqual(want);
    }
    expect(() => new Frames().push('data: '.padEnd(400_000, 'a'))).toThrow();
  });

  test('an event of the trace says all its fields, and one that is no JSON says nothing', () => {
    const event = tracedOf(
      '{"at":"2026-11-29T12:00:00Z","kind":"chunks","thread":"t","from":3,"more":{"a":1}}',
      4,
    );
    expect(event).toEqual({
      number: 4,
      at: NOW,
      kind: 'chunks',
      thread: 't',
      rest: [
        ['from', '3'],
        ['more', '{"a":1}'],
      ],
    });
    expect(tracedOf('{', 1)).toMatchObject({ kind: '', rest: [] });
  });
});

test('a budget is used by what is spent and what is held, and may be overdrawn', () => {
  expect(usedShare({ spent: 70, held: 10, limit: 100 })).toBe(0.8);
  expect(usedShare({ spent: 130, held: null, limit: 100 })).toBe(1.3);
  for (const limit of [null, 0]) expect(usedShare({ spent: 1, held: 1, limit })).toBeNull();
});

test('places have addresses that lead back to them', () => {
  for (const rest of [[], ['default', 'a/b c'], ['ünï', '100%']]) {
    expect(parsePlace(addressOf('threads', ...rest))).toEqual({ section: 'threads', rest });
  }
  expect(parsePlace('')).toEqual({ section: 'now', rest: [] });
  expect(parsePlace('#/nowhere/x')).toEqual({ section: 'now', rest: [] });
  expect(parsePlace('#/threads/%')).toEqual({ section: 'threads', rest: ['%'] });
});

describe('analytics', () => {
  test.each([
    [[0, 0, 0], '–'],
    [[5, 0, 0], 'a'],
    [[2, 2, 1], 'b'],
    [[0, 0, 1], 'c'],
  ])('the middle of %j is in %s', (values, expected) => {
    expect(middle(values, ['a', 'b', 'c'])).toBe(expected);
  });

  test('what is no count counts as nothing', () => {
    const counts = new Fields({ visits: [3, 'x', -1, null], other: 5 });
    expect(row(counts, 'visits')).toEqual([3, 0, 0, 0]);
    expect(row(counts, 'other')).toEqual([]);
  });
});
