//! Flags and drafts: what is kept between starts, and what is forgotten.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Flags } from '../src/flags.js';
import { Frames } from '../src/page/frames.js';
import { StoredDrafts } from '../src/storage/drafts.js';
import { localStrings } from '../src/storage/local-strings.js';
import { Access } from '../src/transport/access.js';
import { FakeServer } from './fake-server.js';
import { Page } from './surroundings.js';

/** A browser's storage, as far as it is used. */
class FakeStorage {
  readonly map = new Map<string, string>();
  full = false;

  get length(): number {
    return this.map.size;
  }

  key(index: number): string | null {
    return [...this.map.keys()][index] ?? null;
  }

  getItem(key: string): string | null {
    return this.map.get(key) ?? null;
  }

  setItem(key: string, value: string): void {
    if (this.full) throw new DOMException('full', 'QuotaExceededError');
    this.map.set(key, value);
  }

  removeItem(key: string): void {
    this.map.delete(key);
  }
}

let storage: FakeStorage;
let server: FakeServer;

beforeEach(() => {
  storage = new FakeStorage();
  server = new FakeServer();
  vi.stubGlobal('window', { localStorage: storage });
});

afterEach(() => vi.unstubAllGlobals());

function flagsOf(user: string) {
  const page = new Page();
  const flags = new Flags(new Frames(page), new Access({ url: 'http://server', user }), localStrings());
  return { page, flags };
}

describe('Flags', () => {
  it('publishes what changed, and asks with the tag it knows', async () => {
    server.flags = { rev: 1, flags: { a: true } };
    const { page, flags } = flagsOf('ann');
    let published = 0;
    flags.subscribe(() => {
      published += 1;
    });
    expect(flags.get('a', false)).toBe(false);
    await Promise.all([flags.refresh(), flags.refresh()]);
    expect(server.count('/flags')).toBe(1);
    page.frame();
    const first = flags.getSnapshot();
    expect(first).toEqual({ a: true });
    expect([flags.get('a', false), flags.get('toString', true), flags.rev]).toEqual([true, true, 1]);

    await flags.refresh();
    server.flags = { rev: 2, flags: { a: true } };
    await flags.refresh();
    page.frame();
    expect(flags.getSnapshot()).toBe(first);
    expect([published, flags.rev]).toEqual([1, 2]);

    server.flags = { rev: 3, flags: { a: false } };
    await flags.refresh();
    page.frame();
    expect([flags.getSnapshot(), published]).toEqual([{ a: false }, 2]);
  });

  it('has the last answer at once without the network, for the same user alone', async () => {
    server.flags = { rev: 1, flags: { a: true } };
    await flagsOf('ann').flags.refresh();
    server.failing = 0;
    const { flags } = flagsOf('ann');
    expect(flags.getSnapshot()).toEqual({ a: true });
    expect(flagsOf('bob').flags.getSnapshot()).toEqual({});
    await expect(flags.refresh()).rejects.toMatchObject({ code: 'unavailable' });
    expect(flags.get('a', false)).toBe(true);
    flags.clear();
    expect(flagsOf('ann').flags.getSnapshot()).toEqual({});
  });

  it('takes a server without the route for one without flags, and kept nonsense for nothing', async () => {
    server.flags = { rev: 1, flags: { a: true } };
    const { page, flags } = flagsOf('ann');
    await flags.refresh();
    server.flags = undefined;
    await flags.refresh();
    page.frame();
    expect(flags.getSnapshot()).toEqual({});
    for (const key of storage.map.keys()) storage.map.set(key, '{"rev":');
    expect(flagsOf('ann').flags.getSnapshot()).toEqual({});
    for (const answer of [
      '{"rev":1,"flags":"text"}',
      '{"rev":1,"flags":[1]}',
      '{"rev":1,"flags":null}',
      'null',
    ]) {
      for (const key of storage.map.keys()) storage.map.set(key, answer);
      expect([answer, flagsOf('ann').flags.getSnapshot()]).toEqual([answer, {}]);
    }
  });

  it('asks the server whatever was kept as its tag', async () => {
    server.flags = { rev: 1, flags: { a: true } };
    await flagsOf('ann').flags.refresh();
    for (const etag of ['a\nb', 'é', '', 7, {}]) {
      const kept = JSON.stringify({ rev: 1, flags: { a: false }, etag });
      for (const key of storage.map.keys()) storage.map.set(key, kept);
      const { flags } = flagsOf('ann');
      await flags.refresh();
      expect(flags.get('a', false)).toBe(true);
    }
  });
});

describe('StoredDrafts', () => {
  it('keeps a text a place, and forgets one user and not the other', () => {
    const [ann, bob] = [new StoredDrafts('ann'), new StoredDrafts('ann.b')];
    ann.set('t1', 'half a sen');
    ann.set('t2', 'x');
    bob.set('t1', 'other');
    ann.set('t2', '');
    expect([...storage.map]).toEqual([
      ['threadmill.draft.ann.t1', 'half a sen'],
      ['threadmill.draft.ann%2Eb.t1', 'other'],
    ]);
    expect(new StoredDrafts('ann').get('t1')).toBe('half a sen');
    expect(ann.get('t2')).toBe('');
    ann.clear();
    expect([ann.get('t1'), bob.get('t1')]).toEqual(['', 'other']);
  });

  it('stores a large text when it is quiet for a moment, or at the end, and a small one at once', () => {
    vi.useFakeTimers();
    try {
      const drafts = new StoredDrafts('ann');
      const set = vi.spyOn(storage, 'setItem');
      const large = 'x'.repeat(1_000_000);
      for (let letters = 0; letters < 20; letters++) {
        drafts.set('t', large + 'y'.repeat(letters));
        vi.advanceTimersByTime(100);
      }
      expect([set.mock.calls.length, drafts.get('t').length]).toEqual([0, 1_000_019]);
      vi.advanceTimersByTime(300);
      expect(set).toHaveBeenCalledTimes(1);
      expect(new StoredDrafts('ann').get('t').length).toBe(1_000_019);

      drafts.set('t', `${large}end`);
      drafts.flush();
      expect(new StoredDrafts('ann').get('t')).toBe(`${large}end`);

      drafts.set('t', large);
      drafts.set('t', 'small');
      expect(new StoredDrafts('ann').get('t')).toBe('small');
      drafts.set('t', large);
      drafts.set('t', '');
      drafts.set('u', large);
      drafts.clear();
      vi.advanceTimersByTime(10_000);
      expect([drafts.get('t'), drafts.get('u'), storage.map.size]).toEqual(['', '', 0]);
    } finally {
      vi.useRealTimers();
    }
  });

  it('remembers for the page what the storage does not take', () => {
    const kept = localStrings();
    const drafts = new StoredDrafts('ann', kept);
    drafts.set('t', 'old');
    storage.full = true;
    drafts.set('t', 'new');
    expect(drafts.get('t')).toBe('new');
    expect(kept.state).toBe('degraded');
    drafts.set('t', '');
    expect(drafts.get('t')).toBe('');

    vi.stubGlobal('window', {
      get localStorage(): Storage {
        throw new DOMException('forbidden', 'SecurityError');
      },
    });
    const forbidden = localStrings();
    const memory = new StoredDrafts('ann', forbidden);
    memory.set('t', 'text');
    expect([memory.get('t'), forbidden.state]).toEqual(['text', 'degraded']);
  });
});
