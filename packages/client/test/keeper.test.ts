//! What is kept of windows: whole, as many as there is room for, and nothing of a thread that is gone.

import { describe, expect, it } from 'vitest';
import { Keeper } from '../src/storage/keeper.js';
import type { KeptWindow } from '../src/storage/records.js';
import { Storage } from '../src/storage/storage.js';
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

describe('the keeper', () => {
  it('keeps of a message that a run writes what was written until now', async () => {
    const keeper = new Keeper(new Storage('test', 'memory', () => {}));
    const written = [...ROW.parts, { type: 'text', text: 'look.' }];
    keeper.keepWindow('t', WINDOW, () => written);
    keeper.flush();
    await settle();
    expect((await keeper.window('t'))?.rows[0]?.parts).toEqual(written);
  });

  it('keeps no more windows for many threads that are opened one after the other', async () => {
    const storage = new Storage('test', 'memory', () => {});
    const keeper = new Keeper(storage);
    for (let at = 0; at < 300; at++) {
      keeper.keepWindow(`t${at}`, WINDOW, row => row.parts);
      keeper.flush();
      await settle();
    }
    const ids = (await storage.entries('windows')).map(([key]) => key);
    expect(ids.length).toBeLessThanOrEqual(101);
    expect(ids).toContain('t299');
  }, 20_000);

  it('keeps the windows seen last, whichever tab has kept them', async () => {
    const storage = new Storage('test', 'memory', () => {});
    for (let at = 0; at < 60; at++) {
      const kept: KeptWindow = { id: `t${at}`, keptAt: at, rows: [], total: 0 };
      await storage.put('windows', kept.id, kept);
    }
    const keeper = new Keeper(storage);
    keeper.keepWindow('t3', WINDOW, row => row.parts);
    keeper.flush();
    await settle();
    const ids = (await storage.entries('windows')).map(([key]) => key);
    expect(ids).toHaveLength(50);
    expect(ids).toContain('t3');
    expect(ids).not.toContain('t10');
    keeper.forget('t3');
    keeper.flush();
    await settle();
    expect(await keeper.window('t3')).toBeUndefined();
  });
});
