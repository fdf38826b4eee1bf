//! What is counted of how the page is used, when it is sent, and what is guessed from habit.

// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { goesUp, likely } from '../src/habits/guess';
import { type Memory, parse } from '../src/habits/memory';

const beacon = vi.fn();

beforeEach(() => {
  vi.resetModules();
  localStorage.clear();
  beacon.mockReset();
  Object.defineProperty(navigator, 'sendBeacon', { value: beacon, configurable: true });
});
afterEach(() => {
  Object.defineProperty(navigator, 'globalPrivacyControl', { value: undefined, configurable: true });
});

async function page() {
  const [counts, report, trail] = await Promise.all([
    import('../src/habits/counts'),
    import('../src/habits/report'),
    import('../src/habits/trail'),
  ]);
  return { ...counts, ...report, ...trail };
}

it('a visit is told on as numbers, once', async () => {
  localStorage.setItem('threadmill.arm', '5');
  const { enter, see, askOlder, noteOrder, noteSearch, leave, heed } = await page();
  noteOrder(['a', 'b', 'c', 'd']);
  enter('a')(5);
  see(90, 100);
  see(40, 100);
  see(70, 100);
  await Promise.all([askOlder(Promise.resolve(1)), askOlder(Promise.resolve(1))]);
  await askOlder(Promise.reject(new Error('away'))).catch(() => {});
  enter('b')(20);
  enter('a')(3);
  noteSearch();
  enter('d')(700);
  enter('b')(1);
  heed(true, () => 'core');
  leave();
  window.dispatchEvent(new Event('pagehide'));
  expect(beacon).toHaveBeenCalledTimes(1);
  const [path, blob] = beacon.mock.calls[0] as [string, Blob];
  expect([path, blob.type]).toEqual(['/v1/rum', 'application/json']);
  expect(JSON.parse(await blob.text())).toEqual({
    engine: 'core',
    samples: [],
    use: {
      control: false,
      counts: {
        visits: [1],
        reach: [0, 0, 0, 0, 0, 1],
        back: [0, 0, 0, 1],
        pages: [0, 0, 1],
        switches: [1, 1, 1, 1],
        prefetch: [0, 2],
        switchWith: [0, 1, 0, 0, 0, 0, 0, 0, 0, 1],
      },
    },
  });
  window.dispatchEvent(new Event('pagehide'));
  expect(beacon).toHaveBeenCalledTimes(1);
});

it.each([
  ['the operator does not want to know', false, false],
  ['the reader does not want to be counted', true, true],
])('nothing is sent nor kept where %s', async (_, on, objects) => {
  Object.defineProperty(navigator, 'globalPrivacyControl', { value: objects, configurable: true });
  const { enter, see, heed, takeCounts } = await page();
  enter('a');
  see(0, 10);
  enter('b')(9);
  heed(on, () => 'core');
  expect(takeCounts()).toBeUndefined();
  enter('c')(9);
  expect(takeCounts()).toBeUndefined();
  window.dispatchEvent(new Event('pagehide'));
  expect(beacon).not.toHaveBeenCalled();
  expect(localStorage.getItem('threadmill.arm')).toBeNull();
});

it('one browser in ten does without, and stays so', async () => {
  localStorage.setItem('threadmill.arm', '0');
  const { heed, isControl } = await page();
  expect(isControl()).toBe(false);
  heed(true, () => 'core');
  expect(isControl()).toBe(true);
});

const nobody: Memory = { pairs: [], ways: [0, 0, 0, 0], looks: [0, 0] };

it('without a memory the next in the list is likely, and with one what was done', () => {
  const at = { here: 'a', previous: 'z', neighbours: ['b', 'y'] };
  expect(likely(nobody, at)).toEqual(['b', 'z']);
  expect(likely(nobody, at, { next: 0, previous: 0.1, older: 0 })).toEqual([]);
  const often: Memory = { ...nobody, pairs: Array.from({ length: 8 }, () => ['a', 'q']) };
  expect(likely(often, at)[0]).toBe('q');
  expect(likely({ ...nobody, ways: [0, 40, 0, 10] }, at)).toEqual(['z']);
  expect(likely({ ...nobody, pairs: [['a', 'a']] }, { ...at, neighbours: [], previous: undefined })).toEqual(
    [],
  );
});

it('who goes up as a rule has the next page fetched', () => {
  expect(goesUp(nobody)).toBe(false);
  expect(goesUp(nobody, { next: 0, previous: 0, older: 0.9 })).toBe(true);
  expect(goesUp({ ...nobody, looks: [20, 15] })).toBe(true);
  expect(goesUp({ ...nobody, looks: [20, 5] }, { next: 0, previous: 0, older: 0.9 })).toBe(false);
});

it.each([
  undefined,
  '',
  'null',
  '[]',
  '{"pairs":[["a"],[1,2],["a","b"]],"ways":[1,2],"looks":["x",2]}',
  '{"pairs":5,"ways":[1e999,0,0,0],"looks":[-1,0]}',
])('what the storage holds is parsed: %s', text => {
  const { pairs, ways, looks } = parse(text);
  expect(pairs.every(pair => pair.length === 2)).toBe(true);
  expect(ways).toEqual([0, 0, 0, 0]);
  expect(looks).toEqual([0, 0]);
});
