//! Which rows are on the page.

import { describe, expect, it } from 'vitest';
import { focusAt, RowHeights, rangeAround } from '../src/list/row-heights';
import { parseRoute } from '../src/shell/address';

const ids = Array.from({ length: 100 }, (_, index) => `m${index}`);

function known(height: number): RowHeights {
  const heights = new RowHeights();
  for (const id of ids) heights.set(id, height);
  return heights;
}

describe('the range of rows', () => {
  it('covers the viewport and the margin around it', () => {
    const range = rangeAround(ids, known(100), { index: 50, top: 0 }, 800, 400);
    expect(range).toEqual({ start: 46, end: 62 });
  });

  it('from the end, ends at the end', () => {
    const range = rangeAround(ids, known(100), { index: 100, top: 800 }, 800, 400);
    expect(range).toEqual({ start: 88, end: 100 });
  });

  it('is bounded, whatever the heights', () => {
    const heights = known(40);
    for (let index = 0; index <= 100; index += 1) {
      const { start, end } = rangeAround(ids, heights, { index, top: 0 }, 800, 1_000);
      expect(end - start).toBeLessThanOrEqual(800 / 40 + (2 * 1_000) / 40 + 2);
    }
  });

  it('finds a row by its offset', () => {
    expect(focusAt(ids, known(100), 1_234)).toEqual({ index: 12, top: -34 });
  });
});

describe('heights', () => {
  it('guesses the mean, and forgets rows that left', () => {
    const heights = new RowHeights();
    heights.set('a', 100);
    heights.set('b', 200);
    expect(heights.of('c')).toBe(150);
    heights.keepOnly(['b']);
    expect(heights.of('a')).toBe(200);
    expect(heights.total(['a', 'b'])).toBe(400);
  });
});

describe('routes', () => {
  it.each([
    ['/', '', { threadId: undefined, messageId: undefined }],
    ['/t/abc', '?m=x%2Fy', { threadId: 'abc', messageId: 'x/y' }],
    ['/t/a%20b/', '', { threadId: 'a b', messageId: undefined }],
    ['/t/%E0%A4', '', { threadId: undefined, messageId: undefined }],
    ['/other', '', { threadId: undefined, messageId: undefined }],
  ])('%s%s', (path, query, route) => expect(parseRoute(path, query)).toEqual(route));
});
