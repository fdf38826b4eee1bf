//! An answer of `/ops/api/analytics`: thirty days of one tenant, made up, in the shape that a node gives it.

const MILLISECONDS = [
  'to 16',
  'to 33',
  'to 50',
  'to 75',
  'to 100',
  'to 150',
  'to 200',
  'to 300',
  'to 500',
  'to 1000',
  'to 2000',
  'more',
];

const measure = (name, title, buckets, countedBy = 'page') => ({ name, title, buckets, countedBy });

const MEASURES = [
  measure('visits', 'Pages opened', ['visits']),
  measure(
    'reach',
    'How much of a thread was seen, from its end',
    Array.from({ length: 10 }, (_, at) => `to ${at + 1}0 %`),
  ),
  measure('back', 'How many messages back from the newest', [
    ...[10, 25, 50, 100, 250, 1000, 10000].map(end => `to ${end}`),
    'more',
  ]),
  measure('pages', 'Pages of older messages that were asked for in a thread', [
    'none',
    '1',
    '2',
    '3',
    'to 5',
    'to 10',
    'to 20',
    'more',
  ]),
  measure('switches', 'From one thread to another', ['next', 'previous', 'search', 'other']),
  measure('prefetch', 'Threads fetched ahead', ['hits', 'misses', 'fetched']),
  measure('prefetchBytes', 'Bytes fetched ahead', ['fetched', 'used']),
  measure('switchWith', 'Milliseconds until another thread was shown, with the prefetcher', MILLISECONDS),
  measure('switchWithout', 'Milliseconds until another thread was shown, without it', MILLISECONDS),
  measure(
    'answers',
    'Letters of an answer, at its end',
    [...[100, 250, 500, 1000, 2000, 4000, 8000, 16000].map(end => `to ${end}`), 'more'],
    'node',
  ),
];

/** What a day of a hundred visitors has. */
const DAY = {
  visits: [140],
  reach: [210, 90, 60, 40, 22, 14, 9, 8, 11, 60],
  back: [300, 110, 60, 30, 16, 7, 1, 0],
  pages: [390, 70, 30, 14, 12, 6, 2, 0],
  switches: [160, 120, 44, 82],
  prefetch: [182, 98, 301],
  prefetchBytes: [4_210_000, 2_390_000],
  switchWith: [120, 70, 30, 16, 12, 14, 8, 5, 3, 2, 0, 0],
  switchWithout: [2, 3, 4, 6, 5, 4, 3, 2, 1, 0, 0, 0],
  answers: [12, 40, 88, 120, 96, 40, 14, 3, 1],
};

export function analytics({ analyticsOff = false } = {}) {
  const groups = Array.from({ length: 30 }, (_, at) => {
    const weight = 0.6 + 0.4 * Math.sin(at / 2) ** 2;
    const counts = Object.fromEntries(
      Object.entries(DAY).map(([name, row]) => [name, row.map(value => Math.round(value * weight))]),
    );
    const day = new Date(Date.now() - (29 - at) * 86_400_000).toISOString().slice(0, 10);
    return { day, tenant: 'default', visitors: Math.round(100 * weight), counts };
  });
  const sums = Object.fromEntries(
    Object.keys(DAY).map(name => [
      name,
      DAY[name].map((_, at) => groups.reduce((sum, { counts }) => sum + counts[name][at], 0)),
    ]),
  );
  return {
    on: !analyticsOff,
    days: 30,
    keptDays: 90,
    leastVisitors: 10,
    hiddenGroups: 2,
    measures: MEASURES,
    groups,
    sums,
  };
}
