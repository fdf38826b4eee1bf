//! A server that refuses the page's origin: the browser says no more than that there was no answer, the client says why.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeServer } from '../../react/test/fake-server.js';
import { createDirectClient } from '../src/direct/index.js';
import { createClient } from '../src/engine.js';
import { Access } from '../src/transport/access.js';
import { surround, wasm } from './browser.js';

/** What a browser lets a page see of a request to the server. */
let server: 'refuses the origin' | 'is out of reach' | 'takes the origin';
let probes: number;
let browser: ReturnType<typeof surround>;

beforeEach(() => {
  browser = surround();
  probes = 0;
  const taken = new FakeServer(1);
  taken.install();
  const [answer, Socket] = [fetch, WebSocket];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit = {}) => {
    if (init.mode === 'no-cors') {
      probes += 1;
      if (server !== 'refuses the origin') throw new TypeError('blocked, or nobody is there');
      return Object.defineProperty(new Response(), 'type', { value: 'opaque' });
    }
    if (server !== 'takes the origin') throw new TypeError('Failed to fetch');
    return answer(url, init);
  });
  class Cut extends EventTarget {
    static readonly OPEN = 1;
    readyState = 0;
    onclose?: () => void;
    constructor() {
      super();
      queueMicrotask(() => this.onclose?.());
    }
    send(): void {}
    close(): void {}
  }
  function connect(this: unknown, url: string, protocol: string) {
    return server === 'takes the origin' ? new Socket(url, protocol) : new Cut();
  }
  vi.stubGlobal('WebSocket', Object.assign(connect, { OPEN: 1 }));
  vi.stubGlobal('location', { origin: 'http://app.test:5173', href: 'http://app.test:5173/' });
});

afterEach(() => vi.unstubAllGlobals());

const REFUSAL = {
  code: 'origin_refused',
  message: 'The server answers, but not to pages of http://app.test:5173.',
  hint: expect.stringContaining('--allow-origin http://app.test:5173'),
};

describe('a server that refuses the origin', () => {
  it('is said by the status of a client, which goes on when the origin is let in', async () => {
    server = 'refuses the origin';
    const client = await createClient({ url: 'http://server.test', engine: 'sync', wasm });
    const status = () => client.status.getSnapshot();
    await vi.waitFor(() => expect(status()).toMatchObject({ connection: 'refused', error: REFUSAL }), 4_000);
    server = 'takes the origin';
    await vi.waitFor(() => {
      // The next try, without the wait before it.
      browser.events.dispatchEvent(new Event('online'));
      expect(status().connection).toBe('live');
    }, 10_000);
    expect(status().error).toBeUndefined();
    client.close();
  }, 20_000);

  it('is said by the direct engine, and by every call that waits for an answer', async () => {
    server = 'refuses the origin';
    const client = createDirectClient({ url: 'http://server.test' });
    await vi.waitFor(
      () => expect(client.status.getSnapshot()).toMatchObject({ connection: 'refused', error: REFUSAL }),
      4_000,
    );
    await expect(client.info()).rejects.toMatchObject(REFUSAL);
    expect(probes).toBe(1);
    client.close();
  });
});

describe('a server that is out of reach', () => {
  it('is not taken for one that refuses', async () => {
    server = 'is out of reach';
    const client = await createClient({ url: 'http://server.test', engine: 'sync', wasm });
    await vi.waitFor(() => expect(probes).toBeGreaterThan(0), 4_000);
    expect(client.status.getSnapshot()).toMatchObject({ connection: 'connecting' });
    expect(client.status.getSnapshot().error).toBeUndefined();
    client.close();
  });

  it('is what it is where the check cannot be loaded, which is tried again', async () => {
    server = 'refuses the origin';
    const access = new Access({ url: 'http://server.test' });
    vi.resetModules();
    vi.doMock('../src/transport/origin.js', () => {
      throw new TypeError('Failed to fetch');
    });
    expect((await access.unanswered()).code).toBe('unavailable');
    vi.doUnmock('../src/transport/origin.js');
    expect((await access.unanswered()).code).toBe('origin_refused');
  });

  it('is not asked again if it is the page’s own, or the page has no origin', async () => {
    server = 'refuses the origin';
    for (const origin of ['http://server.test', 'null', undefined]) {
      vi.stubGlobal('location', origin && { origin, href: 'http://server.test/' });
      const access = new Access({ url: 'http://server.test' });
      expect((await access.unanswered()).code).toBe('unavailable');
    }
    expect(probes).toBe(0);
  });
});
