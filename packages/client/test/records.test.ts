//! What a browser has kept is parsed before it is believed: whatever else lies there is no record.

import { describe, expect, it, vi } from 'vitest';
import { entryIn, listIn, windowIn } from '../src/storage/records.js';
import { Storage } from '../src/storage/storage.js';
import { WindowCache } from '../src/storage/window-cache.js';
import * as writes from '../src/transport/writes.js';

const ROW = {
  id: 'm',
  role: 'user',
  parts: [{ type: 'text', text: 'Hello' }],
  status: 'complete',
  depth: 3,
  branch: 'main',
  rev: 1,
  createdAt: 1_000,
};
const WINDOW = { id: 't', keptAt: 5, rows: [ROW], total: 4, branch: 'main', title: 'A thread' };
const SUMMARY = { id: 't', title: '', snippet: 's', running: false, archived: false, updatedAt: 1 };

function nested(depth: number): unknown {
  let value: unknown = 1;
  for (let level = 0; level < depth; level++) value = [value];
  return value;
}

/** Everything that a record may be instead. */
const ANYTHING: unknown[] = [
  undefined,
  null,
  true,
  7,
  '',
  'text',
  [],
  {},
  { hello: 1 },
  [[]],
  new Map([['id', 't']]),
  new Date(),
  new Uint8Array(8),
  Object.create({ ...WINDOW }),
];

/** The record with each of its fields missing or something else, one at a time. */
function* broken(record: object): Generator<unknown> {
  yield* ANYTHING;
  for (const key of Object.keys(record)) {
    for (const other of [undefined, null, 7.5, -1, {}, [], [null], [{}], Number.NaN, nested(3)]) {
      yield { ...record, [key]: other };
    }
  }
}

describe('a kept window', () => {
  it('is what it was', () => {
    const fork = { index: 1, total: 2, next: { branch: 'b', message: 'n' } };
    const row = { ...ROW, metadata: { a: [1] }, run: 'r', fork, previews: [{ part: 0, bytes: 9 }] };
    const window = { ...WINDOW, rows: [row], defaultBranch: 'main' };
    expect(windowIn(structuredClone(window), 't')).toEqual(window);
  });

  it('has no fields that nobody knows', () => {
    const later = { ...WINDOW, version: 9, rows: [{ ...ROW, outbox: { key: 'k' }, later: {} }] };
    expect(windowIn(later, 't')).toEqual(WINDOW);
  });

  it('is none if anything of it is not as it should be', () => {
    // Branch and title may be missing, and a thread may be empty.
    const fits = [{ branch: undefined }, { title: undefined }, { rows: [] }];
    const fitting = fits.map(change => JSON.stringify({ ...WINDOW, ...change }));
    for (const record of broken(WINDOW)) {
      if (fitting.includes(JSON.stringify(record) ?? '')) continue;
      expect([record, windowIn(record, 't')]).toEqual([record, undefined]);
    }
    for (const row of broken(ROW)) {
      const window = windowIn({ ...WINDOW, rows: [row] }, 't');
      // No parts are parts; a time may be of any sign.
      if (window) expect(window.rows).toEqual([row]);
      for (const { parts, depth, createdAt } of window?.rows ?? []) {
        expect([parts.every(part => typeof part.type === 'string'), depth >= 0]).toEqual([true, true]);
        expect(Number.isFinite(createdAt)).toBe(true);
      }
    }
  });

  it('is none if it is another thread’s, has a place or an id twice, or is too deep', () => {
    expect(windowIn(WINDOW, 'other')).toBeUndefined();
    const twice = (change: object) => ({ ...WINDOW, rows: [ROW, { ...ROW, ...change }] });
    expect(windowIn(twice({ id: 'n' }), 't')).toBeUndefined();
    expect(windowIn(twice({ depth: 4 }), 't')).toBeUndefined();
    expect(windowIn(twice({ id: 'n', depth: 4 }), 't')?.rows).toHaveLength(2);
    const deep = { ...ROW, parts: [{ type: 'data-x', data: nested(100_000) }] };
    expect(windowIn({ ...WINDOW, rows: [deep] }, 't')).toBeUndefined();
    // One object in many places: more than anybody could walk through.
    let shared: unknown = 'x';
    for (let level = 0; level < 100; level++) shared = [shared, shared];
    const wide = { ...ROW, parts: [{ type: 'data-x', data: shared }] };
    expect(windowIn({ ...WINDOW, rows: [wide] }, 't')).toBeUndefined();
    const loop: Record<string, unknown> = { type: 'data-x' };
    loop.data = loop;
    expect(windowIn({ ...WINDOW, rows: [{ ...ROW, parts: [loop] }] }, 't')).toBeUndefined();
  });

  it('is none if it says a time that no date can hold', () => {
    for (const time of [9e15, -9e15, Number.MAX_VALUE]) {
      expect(windowIn({ ...WINDOW, rows: [{ ...ROW, createdAt: time }] }, 't')).toBeUndefined();
      expect(listIn([{ ...SUMMARY, updatedAt: time }])).toBeUndefined();
    }
  });

  it('keeps words that are names of every object as what they are', () => {
    const part = JSON.parse('{"type":"data-x","__proto__":{"type":"text"},"constructor":1}');
    const window = windowIn({ ...WINDOW, rows: [{ ...ROW, parts: [part] }] }, 't');
    expect(Object.keys(window?.rows[0]?.parts[0] ?? {})).toEqual(['type', '__proto__', 'constructor']);
    const inherited = JSON.parse('{"__proto__":{"type":"text","text":"x"}}');
    expect(windowIn({ ...WINDOW, rows: [{ ...ROW, parts: [inherited] }] }, 't')).toBeUndefined();
  });
});

describe('a kept list', () => {
  it('is what it was, or none', () => {
    expect(listIn([SUMMARY])).toEqual([SUMMARY]);
    expect(listIn([SUMMARY, SUMMARY])).toBeUndefined();
    for (const thread of broken(SUMMARY)) {
      const list = listIn([thread]);
      if (list) expect(Number.isFinite(list[0]?.updatedAt)).toBe(true);
    }
    for (const record of ANYTHING) if (!Array.isArray(record)) expect(listIn(record)).toBeUndefined();
  });
});

describe('a kept write', () => {
  const entry = () => ({
    write: JSON.parse(JSON.stringify(writes.send('t', { text: 'one', run: true }))),
    order: 1,
    createdAt: 2,
    tried: true,
    state: 'pending',
  });

  it('is what it was, or none', () => {
    const whole = entry();
    expect(entryIn(structuredClone(whole))).toEqual(whole);
    const texts = [{ text: 'two' }, { part: 3, text: 'three' }];
    const edit = { ...whole, write: { ...whole.write, kind: 'edit', body: { texts }, later: { field: 1 } } };
    expect(entryIn(structuredClone(edit))).toEqual(edit);
    for (const other of [[{}], [{ text: 1 }], [{ part: -1, text: '' }], {}, 'text']) {
      expect(entryIn({ ...edit, write: { ...edit.write, body: { texts: other } } })).toBeUndefined();
    }
    // The first release said each text twice.
    const twice = { ...whole, write: { ...whole.write, text: 'one', parts: whole.write.body.parts } };
    expect(entryIn(structuredClone(twice))).toEqual(twice);
    const beginnings = [{ message: 7 }, { message: { parts: [{}] } }, { parts: [{ type: 7 }] }, { text: 1 }];
    for (const body of [{ title: {} }, { branch: 7 }, 'text', null, [], ...beginnings]) {
      expect(entryIn({ ...whole, write: { ...whole.write, kind: 'create', body } })).toBeUndefined();
    }
    for (const change of [{ createdAt: 9e15 }, { order: 1e300 }]) {
      expect(entryIn({ ...whole, ...change })).toBeUndefined();
    }
    const failed = { ...whole, state: 'failed', error: { code: 'too_large', status: 413 } };
    expect(entryIn(structuredClone(failed))).toEqual(failed);
    for (const record of broken(whole)) {
      const parsed = entryIn(record);
      if (parsed) expect([typeof parsed.order, typeof parsed.createdAt]).toEqual(['number', 'number']);
    }
    for (const path of ['https://elsewhere.example/', 7, undefined]) {
      expect(entryIn({ ...whole, write: { ...whole.write, path } })).toBeUndefined();
    }
  });
});

describe('what is no record', () => {
  it('is given up, and the thread is fetched as if nothing had been kept', async () => {
    const storage = new Storage('ann', 'memory', () => {});
    const cache = new WindowCache(storage);
    for (const record of broken(WINDOW)) await storage.put('windows', 't', record);
    await storage.put('windows', 't', { hello: 1 });
    expect(await cache.window('t')).toBeUndefined();
    await storage.put('lists', 'list', { hello: 1 });
    expect(await cache.list()).toBeUndefined();
    await vi.waitFor(async () => {
      expect([...(await storage.entries('windows')), ...(await storage.entries('lists'))]).toEqual([]);
    });
  });
});
