//! Which engine runs, and what a view shows before the server has said anything.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeServer, THREAD } from '../../react/test/fake-server.js';
import { createClient } from '../src/engine.js';
import type { CachedWindow } from '../src/storage/records.js';
import type { Client } from '../src/words/types.js';
import { settle, surround, wasm } from './browser.js';
import { FakeDatabase } from './database.js';

let clients: Client[];

beforeEach(() => {
  surround();
  new FakeServer(3).install();
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.close();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function open(source: unknown = wasm): Promise<Client> {
  const client = await createClient({ url: 'http://server.test', wasm: source as Uint8Array<ArrayBuffer> });
  clients.push(client);
  return client;
}

describe('a core that never comes', () => {
  it('is waited for so long and no longer, and asked for again by the next client', async () => {
    const late = new AbortController();
    const timeout = AbortSignal.timeout;
    vi.spyOn(AbortSignal, 'timeout').mockImplementation(wait =>
      wait === 10_000 ? late.signal : timeout.call(AbortSignal, wait),
    );
    let asked = 0;
    const before = fetch;
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => {
      if (!String(url).endsWith('core.wasm')) return before(url, init);
      asked += 1;
      return asked === 1 ? new Promise(() => {}) : Promise.resolve(new Response(wasm));
    });
    const opened = open('http://server.test/core.wasm');
    await settle();
    late.abort(new DOMException('late', 'TimeoutError'));
    expect((await opened).status.getSnapshot()).toMatchObject({ engine: 'direct', reason: 'wasm_failed' });
    vi.restoreAllMocks();
    expect((await open('http://server.test/core.wasm')).status.getSnapshot().engine).toBe('sync');
    expect(asked).toBe(2);
  });
});

describe('a window that was kept', () => {
  /** What a thread shows that is opened while the server says nothing. */
  async function shows(kept: Partial<CachedWindow>, branch?: string): Promise<string> {
    const database = new FakeDatabase();
    database.install();
    const row = { id: 'm', role: 'user', parts: [{ type: 'text', text: 'kept' }], status: 'complete' };
    const rows = [{ ...row, depth: 0, branch: 'b', rev: 1, createdAt: 1 }];
    const window = { id: THREAD, keptAt: 1, rows, total: 1, branch: 'side', ...kept };
    database.rows('windows').set(THREAD, window);
    const before = fetch;
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) =>
      String(url).includes('/threads/') ? new Promise(() => {}) : before(url, init),
    );
    const client = await open();
    const thread = client.thread(THREAD, branch === undefined ? {} : { branch });
    await settle();
    await new Promise(resolve => setTimeout(resolve, 40));
    return thread.getSnapshot().status;
  }

  it('is shown of the branch that is asked for, or of the default one', async () => {
    expect(await shows({ defaultBranch: 'side' })).toBe('ready');
    expect(await shows({ defaultBranch: 'main' }, 'side')).toBe('ready');
    expect(await shows({ defaultBranch: 'main' }, 'main')).toBe('loading');
  });

  it('is not shown of the branch that was seen last where none is asked for, but without a network', async () => {
    expect(await shows({ defaultBranch: 'main' })).toBe('loading');
    expect(await shows({})).toBe('loading');
    vi.stubGlobal('navigator', { ...navigator, onLine: false });
    expect(await shows({ defaultBranch: 'main' })).toBe('ready');
  });
});
