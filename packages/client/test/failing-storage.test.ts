//! Each table of the browser's storage fails alone, and within a time.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Storage, type Table } from '../src/storage/storage.js';
import { FakeDatabase } from './database.js';

let database: FakeDatabase;
let degraded: Table[];
let storage: Storage;

beforeEach(() => {
  vi.useFakeTimers();
  database = new FakeDatabase();
  database.install();
  degraded = [];
  storage = new Storage('ann', 'auto', table => degraded.push(table));
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** What a promise comes to within the longest time that anything may take. */
async function soon<T>(promise: Promise<T>): Promise<T> {
  await vi.advanceTimersByTimeAsync(7_000);
  return Promise.race([promise, Promise.reject(new Error('it takes too long'))]);
}

describe('a transaction that never ends', () => {
  it('is given up: the value is kept in memory, and that is said', async () => {
    database.let('outbox', 'never');
    await soon(storage.put('outbox', 'k', 'value'));
    expect([degraded, database.aborted]).toEqual([['outbox'], ['outbox']]);
    expect(await soon(storage.entries('outbox'))).toEqual([['k', 'value']]);
  });

  it('costs nobody a second wait, and no other table anything', async () => {
    database.let('windows', 'never', 'readonly');
    await soon(storage.get('windows', 't'));
    await storage.put('windows', 't', 1);
    expect(await storage.get('windows', 't')).toBe(1);
    await storage.put('outbox', 'k', 'value');
    expect([...database.rows('outbox')]).toEqual([['k', 'value']]);
    expect(storage.isDegraded('outbox')).toBe(false);
  });
});

describe('a value that cannot be stored', () => {
  it('is kept in memory alone; those before and after it are on the disk', async () => {
    await storage.put('outbox', 'a', 1);
    await storage.put('outbox', 'b', { act: () => {} });
    await storage.put('outbox', 'c', 3);
    expect([...database.rows('outbox').keys()]).toEqual(['a', 'c']);
    expect((await storage.entries('outbox')).map(([key]) => key)).toEqual(['a', 'c', 'b']);
    expect(degraded).toEqual([]);
  });
});

describe('a disk without room', () => {
  const full = { error: 'QuotaExceededError' };

  it('costs the cache of windows nothing but itself', async () => {
    database.let('windows', full);
    for (const key of ['a', 'b', 'c']) await storage.put('windows', key, key);
    await storage.put('outbox', 'k', 'value');
    expect([...database.rows('outbox')]).toEqual([['k', 'value']]);
    expect([storage.isDegraded('outbox'), degraded]).toEqual([false, ['windows']]);
  });

  it.each([
    ['the transaction', full],
    ['its request', { ...full, of: 'request' }],
  ] as const)(
    'is made room on for the outbox by what the server has too, if %s says so',
    async (_, going) => {
      await storage.put('windows', 't', 'a window');
      await storage.put('lists', 'list', 'a list');
      database.let('outbox', going);
      const room = vi.spyOn(database, 'rows');
      // There is room as soon as a cache is empty.
      room.mockImplementation(table => {
        const rows = FakeDatabase.prototype.rows.call(database, table);
        if (table === 'lists') database.let('outbox', 'well');
        return rows;
      });
      await storage.put('outbox', 'k', 'value');
      room.mockRestore();
      expect([...database.rows('outbox')]).toEqual([['k', 'value']]);
      expect([database.rows('windows').size, database.rows('lists').size]).toEqual([0, 0]);
      expect(degraded).toEqual([]);
    },
  );

  it('is tried again for the next write, and what did not fit is kept in memory', async () => {
    database.let('outbox', full);
    await storage.put('outbox', 'big', 'b');
    expect(degraded).toEqual(['outbox']);
    database.let('outbox', 'well');
    await storage.put('outbox', 'small', 's');
    expect([...database.rows('outbox')]).toEqual([['small', 's']]);
    expect(await storage.entries('outbox')).toEqual([
      ['small', 's'],
      ['big', 'b'],
    ]);
  });
});

describe('a connection that is lost', () => {
  it('is made anew once', async () => {
    await storage.put('outbox', 'a', 1);
    const broken = vi.spyOn(database, 'transaction').mockImplementationOnce(() => {
      throw new DOMException('lost', 'InvalidStateError');
    });
    await storage.put('outbox', 'b', 2);
    expect([...database.rows('outbox').keys()]).toEqual(['a', 'b']);
    expect([database.opened, degraded]).toEqual([2, []]);
    broken.mockImplementation(() => {
      throw new DOMException('lost', 'InvalidStateError');
    });
    await storage.put('outbox', 'c', 3);
    expect(degraded).toEqual(['outbox']);
    expect(await storage.entries('outbox')).toEqual([['c', 3]]);
  });
});

describe('a database that does not open', () => {
  it('is waited for once, by each table at the same time', async () => {
    vi.stubGlobal('indexedDB', { open: () => ({}) });
    const tables: Table[] = ['outbox', 'windows', 'lists'];
    const puts = tables.map(table => storage.put(table, 'k', table));
    await vi.advanceTimersByTimeAsync(3_100);
    await Promise.all(puts);
    expect(degraded).toEqual(tables);
  });

  it('is closed when it opens after all', async () => {
    const request: { result?: unknown; onsuccess?: () => void } = {};
    vi.stubGlobal('indexedDB', { open: () => request });
    const put = storage.put('outbox', 'k', 'value');
    await vi.advanceTimersByTimeAsync(3_100);
    await put;
    let closed = 0;
    request.result = { close: () => closed++ };
    request.onsuccess?.();
    expect(closed).toBe(1);
  });

  it('is none where the browser has no databases, in whatever way it says so', async () => {
    for (const none of [undefined, null, {}, { open: () => null }]) {
      vi.stubGlobal('indexedDB', none);
      const plain = new Storage('ann', 'auto', () => {});
      await plain.put('outbox', 'k', 'value');
      expect(await plain.entries('outbox')).toEqual([['k', 'value']]);
      expect(plain.isDegraded('outbox')).toBe(true);
    }
  });
});
