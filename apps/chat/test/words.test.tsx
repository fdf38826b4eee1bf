//! Words of the server and of other releases in the page: those that objects know mean nothing.

// @vitest-environment happy-dom

import type { Client, OutboxItem, SyncStatus } from '@threadmill/client';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { failureWords, pendingWords } from '../src/row/row-outbox';
import { forgetPlaces, notePlace, placeOf } from '../src/shell/places';
import { signOut } from '../src/sidebar/sign-out';

const status = vi.hoisted(() => ({ now: {} as SyncStatus }));
vi.mock('@threadmill/react', async load => ({
  ...(await load<object>()),
  useSyncStatus: () => status.now,
  useOutbox: () => ({ items: [], retry: () => {}, discard: () => {} }),
}));

afterEach(() => {
  vi.unstubAllGlobals();
  forgetPlaces();
});

describe.each(['__proto__', 'constructor', 'toString', 'unheard-of'])('the word %s', word => {
  it('as the mode of a server is none', async () => {
    const { renderToStaticMarkup } = await import('react-dom/server');
    const { ConnectionNote } = await import('../src/sidebar/connection-note');
    const base = { connection: 'live', pending: 0, failed: 0 } as SyncStatus;
    status.now = { ...base, mode: word as 'full' };
    const out = renderToStaticMarkup(<ConnectionNote />);
    expect(out).toContain('data-state="live"');
    expect(out).toContain('Connected');
    status.now = { ...base, mode: 'read-only' };
    expect(renderToStaticMarkup(<ConnectionNote />)).toContain('Connected, read-only');
  });

  it('as the kind of a write is some write', () => {
    const item = { kind: word, state: 'pending' } as unknown as OutboxItem;
    expect(pendingWords(item, true)).toBe('Waiting');
    expect(failureWords(item)).toContain('Not done.');
  });
});

describe('signing out', () => {
  it('forgets what the page keeps also where what the client keeps cannot be removed', async () => {
    const unregistered = vi.fn();
    const deleted = vi.fn();
    vi.stubGlobal('navigator', {
      serviceWorker: { getRegistrations: async () => [{ unregister: unregistered }] },
    });
    vi.stubGlobal('caches', { keys: async () => ['threadmill-shell-1'], delete: deleted });
    localStorage.setItem('threadmill.provider', 'one');
    notePlace('t', { branch: 'b' });
    const client = { signOut: () => Promise.reject(new Error('blocked')) } as unknown as Client;
    await expect(signOut(client)).rejects.toThrow('blocked');
    expect([localStorage.getItem('threadmill.provider'), placeOf('t')]).toEqual([null, {}]);
    expect([unregistered.mock.calls.length, deleted.mock.calls.length]).toEqual([1, 1]);
  });
});
