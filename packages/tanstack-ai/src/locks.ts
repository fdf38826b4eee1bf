//! Locks that hold between servers. The store that keeps the messages grants them, so none is lost with a cache.

import { randomUUID } from 'node:crypto';
import type { LockStore } from '@tanstack/ai/locks';
import { idOf, Server, ServerError, type ThreadmillOptions } from './server.js';

export interface ThreadmillLocksOptions extends ThreadmillOptions {
  /** Milliseconds without a renewal after which a lock may pass on, 1,000 to 3,600,000; the default is 30,000. */
  readonly ttlMs?: number;
  /** Milliseconds that somebody waits for a lock before it fails with `lock_held`; the default is ten minutes. */
  readonly patienceMs?: number;
}

const TTL = 30_000;
const PATIENCE = 600_000;
/** The longest that one request waits. */
const WAIT = 30_000;

interface Grant {
  readonly token: number;
}

/**
 * @example
 * middleware: [withLocks(threadmillLocks({ url, headers }))]
 */
export function threadmillLocks(options: ThreadmillLocksOptions): LockStore {
  const server = new Server(options);
  const { ttlMs: ttl = TTL, patienceMs: patience = PATIENCE } = options;
  return {
    async withLock(key, work) {
      const path = `/locks/${idOf(key)}`;
      const held = await acquire(server, path, ttl, patience);
      const lost = new AbortController();
      const keeping = keep(server, path, held, ttl, lost);
      try {
        return await work(lost.signal);
      } finally {
        keeping.end();
        // One that has passed on is nobody's to give back; one that could not be given back runs out.
        await server.json('DELETE', path, { token: held.token }).catch(() => {});
      }
    },
  };
}

type Held = Grant & { readonly asked: number };

async function acquire(server: Server, path: string, ttl: number, patience: number): Promise<Held> {
  const holder = randomUUID();
  for (const began = performance.now(); ; ) {
    const asked = performance.now();
    const wait = Math.max(0, Math.min(WAIT, Math.floor(began + patience - asked)));
    try {
      const { lock } = await server.json<{ lock: Grant }>('POST', path, { ttl, wait, holder });
      return { token: lock.token, asked };
    } catch (error) {
      const isHeld = error instanceof ServerError && error.code === 'lock_held';
      if (!isHeld || performance.now() - began >= patience) throw error;
    }
  }
}

/** Renews a lock until it is given back. Whoever holds it is told when it may have passed on, by this process's own clock. */
function keep(server: Server, path: string, held: Held, ttl: number, lost: AbortController) {
  const over = new AbortController();
  let isUnderWay = false;
  let deadline: NodeJS.Timeout | undefined;
  // The server counts from when it granted the lock, which is later: whoever is told here is told before it may pass on.
  const countFrom = (asked: number) => {
    clearTimeout(deadline);
    const left = asked + ttl - performance.now();
    deadline = setTimeout(() => lost.abort(new Error('The lock could not be renewed.')), left);
    deadline.unref();
  };
  countFrom(held.asked);
  const renew = async () => {
    const asked = performance.now();
    if (isUnderWay || lost.signal.aborted) return;
    isUnderWay = true;
    const init = {
      method: 'PATCH',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ token: held.token, ttl }),
      signal: AbortSignal.any([lost.signal, over.signal]),
    };
    try {
      await server.ask(path, init);
      if (!over.signal.aborted) countFrom(asked);
    } catch (error) {
      if (error instanceof ServerError && error.code === 'fenced') lost.abort(error);
    } finally {
      isUnderWay = false;
    }
  };
  const timer = setInterval(() => void renew(), ttl / 4);
  timer.unref();
  return {
    end: () => {
      over.abort();
      clearInterval(timer);
      clearTimeout(deadline);
    },
  };
}
