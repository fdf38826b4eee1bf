//! What is fetched ahead, and when no more is.

// @vitest-environment happy-dom

import type { Client } from '@threadmill/client';
import { beforeEach, expect, it, vi } from 'vitest';

beforeEach(() => {
  vi.resetModules();
  localStorage.clear();
});

function clientOf(engine: 'sync' | 'direct') {
  const prefetch = vi.fn();
  const client = { prefetch, status: { getSnapshot: () => ({ engine }) } } as unknown as Client;
  return { client, prefetch };
}

it('a thread is fetched once, and not if it was open or nobody fetches', async () => {
  const { fetchAhead } = await import('../src/habits/prefetcher');
  const { enter } = await import('../src/habits/trail');
  const { takeCounts } = await import('../src/habits/counts');
  const { client, prefetch } = clientOf('sync');
  enter('open');
  for (const id of ['a', 'a', 'open', 'b']) fetchAhead(client, id);
  expect(prefetch.mock.calls.flat()).toEqual(['a', 'b']);
  fetchAhead(clientOf('direct').client, 'c');
  expect(takeCounts()?.prefetch).toEqual([0, 0, 2]);
  enter('a')(10);
  enter('c')(10);
  expect(takeCounts()?.prefetch).toEqual([1, 1]);
});

it('what was fetched and not opened is bounded', async () => {
  const { fetchAhead } = await import('../src/habits/prefetcher');
  const { enter } = await import('../src/habits/trail');
  const { client, prefetch } = clientOf('sync');
  for (let n = 0; n < 200; n += 1) fetchAhead(client, `t${n}`);
  expect(prefetch).toHaveBeenCalledTimes(64);
  enter('t0');
  fetchAhead(client, 'more');
  expect(prefetch).toHaveBeenCalledTimes(65);
});

it('a control browser fetches nothing', async () => {
  localStorage.setItem('threadmill.arm', '0');
  const { heed } = await import('../src/habits/report');
  const { fetchAhead, wantsOlder } = await import('../src/habits/prefetcher');
  heed(true, () => 'core');
  const { client, prefetch } = clientOf('sync');
  fetchAhead(client, 'a');
  expect(prefetch).not.toHaveBeenCalled();
  expect(wantsOlder()).toBe(false);
});

it('the address of a request names its thread', async () => {
  const { threadOf } = await import('../src/habits/prefetcher');
  expect(threadOf('http://x/v1/threads/a%3Ab/messages?anchor=tip')).toBe('a:b');
  expect(threadOf('http://x/v1/threads?limit=5')).toBeUndefined();
  expect(threadOf('http://x/v1/threads/%E0%A4%A/messages')).toBeUndefined();
});
