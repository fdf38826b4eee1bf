//! Locks of two hosts on a real server.

import { getLocks, withLocks } from '@tanstack/ai/locks';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BINARY, needsServer, type Server, startServer } from '../../client/test/server.js';
import { threadmillLocks } from '../src/index.js';

const after = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds));

describe.skipIf(!BINARY)(`locks${needsServer}`, { timeout: 30_000 }, () => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer();
  });

  afterAll(async () => {
    await server?.stop();
  });

  it('are a lock store of TanStack AI, held by one host at a time', async () => {
    const hosts = [threadmillLocks({ url: server.url }), threadmillLocks({ url: server.url })];
    expect(withLocks(hosts[0] as (typeof hosts)[number]).name).toBe('locks');
    expect(getLocks).toBeTypeOf('function');
    let inside = 0;
    let most = 0;
    const work = async () => {
      inside += 1;
      most = Math.max(most, inside);
      await after(20);
      inside -= 1;
      return most;
    };
    const all = Array.from({ length: 12 }, (_, at) => hosts[at % 2]?.withLock('thread/one: ü', work));
    expect(new Set(await Promise.all(all))).toEqual(new Set([1]));
  });

  it('are given back when the work fails, and its error is what is thrown', async () => {
    const locks = threadmillLocks({ url: server.url });
    const failing = locks.withLock('fails', async () => {
      throw new Error('the work failed');
    });
    await expect(failing).rejects.toThrow('the work failed');
    const began = performance.now();
    expect(await locks.withLock('fails', async () => 'next')).toBe('next');
    expect(performance.now() - began).toBeLessThan(1_000);
  });

  it('are kept for longer than they last, and those who wait say so in the end', async () => {
    const [holder, other] = [{ ttlMs: 1_000 }, { patienceMs: 2_500 }].map(more =>
      threadmillLocks({ url: server.url, ...more }),
    );
    let isLost = false;
    const holding = holder?.withLock('long', async signal => {
      await after(3_000);
      isLost = signal.aborted;
    });
    await after(100);
    await expect(other?.withLock('long', async () => {})).rejects.toMatchObject({ code: 'lock_held' });
    await holding;
    expect(isLost).toBe(false);
  });

  it('tell a host that cannot reach the server before another one has them', async () => {
    const cut: typeof fetch = (url, init) =>
      init?.method === 'PATCH' ? Promise.reject(new TypeError('no network')) : fetch(url, init);
    const [holder, other] = [
      threadmillLocks({ url: server.url, ttlMs: 1_000, fetch: cut }),
      threadmillLocks({ url: server.url }),
    ];
    let told = Number.POSITIVE_INFINITY;
    const holding = holder?.withLock('cut', signal => {
      const { promise, resolve } = deferred();
      signal.addEventListener('abort', () => {
        told = performance.now();
        resolve();
      });
      return promise;
    });
    await after(50);
    const granted = await other?.withLock('cut', async () => performance.now());
    await holding;
    expect(told).toBeLessThan(granted as number);
  });
});

function deferred(): { promise: Promise<void>; resolve: () => void } {
  let resolve = () => {};
  const promise = new Promise<void>(done => {
    resolve = done;
  });
  return { promise, resolve };
}
