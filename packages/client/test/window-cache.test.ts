//! What is kept of windows: whole, as many as there is room for, and nothing of a thread that is gone.

import { describe, expect, it } from 'vitest';
import type { CachedWindow } from '../src/storage/records.js';
import { Storage } from '../src/storage/storage.js';
import { WindowCache } from '../src/storage/window-cache.js';
import type { Row, ThreadSnapshot } from '../src/words/types.js';

const ROW: Row = {
  id: 'm',
  role: 'assistant',
  parts: [{ type: 'text', text: 'Let me ' }, { type: 'tool-weather' }],
  status: 'streaming',
  depth: 0,
  branch: 'b',
  rev: 1,
  createdAt: 0,
  run: 'r',
};
const WINDOW: ThreadSnapshot = {
  status: 'ready',
  rows: [ROW],
  firstIndex: 0,
  total: 1,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
};

const settle = () => new Promise(resolve => setTimeout(resolve, 5));

describe('the cache', () => {
  it('keeps of a message that a run writes what was written until now', async () => {
    const cache = new WindowCache(new Storage('test', 'memory', () => {}));
    const written = [...ROW.parts, { type: 'text', text: 'look.' }];
    cache.keepWindow('t', WINDOW, () => written);
    cache.flush();
    await settle();
    expect((await cache.window('t'))?.rows[0]?.parts).toEqual(written);
  });

  it('keeps no more windows for many threads that are opened one after the other', async () => {
    const storage = new Storage('test', 'memory', () => {});
    const cache = new WindowCache(storage);
    for (let at = 0; at < 300; at++) {
      cache.keepWindow(`t${at}`, WINDOW, row => row.parts);
      cache.flush();
      await settle();
    }
    const ids = (await storage.entries('windows')).map(([key]) => key);
    expect(ids.length).toBeLessThanOrEqual(101);
    expect(ids).toContain('t299');
  }, 20_000);

  it('keeps the windows seen last, whichever tab has kept them', async () => {
    const storage = new Storage('test', 'memory', () => {});
    for (let at = 0; at < 60; at++) {
      const kept: CachedWindow = { id: `t${at}`, keptAt: at, rows: [], total: 0 };
      await storage.put('windows', kept.id, kept);
    }
    const cache = new WindowCache(storage);
    cache.keepWindow('t3', WINDOW, row => row.parts);
    cache.flush();
    await settle();
    const ids = (await storage.entries('windows')).map(([key]) => key);
    expect(ids).toHaveLength(50);
    expect(ids).toContain('t3');
    expect(ids).not.toContain('t10');
    cache.forget('t3');
    cache.flush();
    await settle();
    expect(await cache.window('t3')).toBeUndefined();
  });
});
