//! What is tried again later: one thing, and nothing once nobody waits for it.

import { afterEach, expect, test, vi } from 'vitest';
import { Retry } from '../src/list/retry';

afterEach(() => void vi.useRealTimers());

test('the last that was asked for is tried, once', () => {
  vi.useFakeTimers();
  const tried: string[] = [];
  const retry = new Retry(3_000);
  retry.open();
  for (const name of ['up', 'down']) retry.later(() => tried.push(name));
  vi.advanceTimersByTime(10_000);
  expect(tried).toEqual(['down']);
});

test('nothing is tried after the end, whenever it was asked for', () => {
  vi.useFakeTimers();
  const retry = new Retry(3_000);
  retry.open();
  retry.later(() => expect.fail());
  retry.close();
  retry.later(() => expect.fail());
  expect(vi.getTimerCount()).toBe(0);
});
