//! The browser's database as it fails: one that never opens, one that others hold, and one that is closed.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Storage } from '../src/storage/storage.js';

interface FakeRequest {
  result: unknown;
  error: unknown;
  onsuccess?: () => void;
  onerror?: () => void;
}

/** Opens and deletions, answered when the test says so. */
let opened: FakeRequest[];
let deleted: FakeRequest[];

beforeEach(() => {
  vi.useFakeTimers();
  [opened, deleted] = [[], []];
  const ask = (list: FakeRequest[]) => () => {
    const request: FakeRequest = { result: undefined, error: null };
    list.push(request);
    return request;
  };
  vi.stubGlobal('indexedDB', { open: ask(opened), deleteDatabase: ask(deleted) });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('the storage', () => {
  it('goes on in memory when the database does not open', async () => {
    let degraded = 0;
    const storage = new Storage('ann', 'auto', () => void degraded++);
    const put = storage.put('outbox', 'k', 'value');
    await vi.advanceTimersByTimeAsync(10_000);
    await put;
    expect([await storage.get('outbox', 'k'), degraded]).toEqual(['value', 1]);
  });

  it('is deleted whatever its state, or says that it could not be', async () => {
    const storage = new Storage('ann', 'auto', () => {});
    const put = storage.put('outbox', 'k', 'value');
    await vi.advanceTimersByTimeAsync(10_000);
    await put;
    expect(storage.isDegraded('outbox')).toBe(true);
    const destroyed = storage.destroy();
    deleted[0]?.onsuccess?.();
    await destroyed;
    const held = storage.destroy();
    const rejected = expect(held).rejects.toThrow('Another page');
    await vi.advanceTimersByTimeAsync(10_000);
    await rejected;
  });

  it('does not open again once it is closed', async () => {
    const storage = new Storage('ann', 'auto', () => {
      throw new Error('closed is not degraded');
    });
    storage.close();
    await storage.put('windows', 't', 1);
    expect(opened.length).toBe(0);
  });
});
