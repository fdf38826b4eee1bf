//! Whole clients as tabs of one browser: who holds the lock and when, and what a page that may not share does.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { FakeServer, THREAD } from '../../react/test/fake-server.js';
import type { SyncClient } from '../src/client.js';
import type { Host } from '../src/core/host.js';
import { LIST } from '../src/core/wire.js';
import { createClient } from '../src/engine.js';
import { Frames } from '../src/page/frames.js';
import { WindowCache } from '../src/storage/window-cache.js';
import { ThreadList } from '../src/views/list.js';
import type { Client, ClientOptions } from '../src/words/types.js';
import { settle, surround, token, wasm } from './browser.js';
import { Page } from './surroundings.js';

let server: FakeServer;
let browser: ReturnType<typeof surround>;
let clients: Client[];

beforeEach(() => {
  browser = surround();
  server = new FakeServer(3);
  server.install();
  clients = [];
});

afterEach(() => {
  for (const client of clients) client.close();
  vi.unstubAllGlobals();
});

async function open(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await createClient({ url: 'http://server.test', engine: 'sync', wasm, ...options });
  clients.push(client);
  return client;
}

const role = (client: Client | undefined) => client?.status.getSnapshot().role;
/** Frames are timers here. */
const shown = () => new Promise(resolve => setTimeout(resolve, 40));

describe('the tabs of a browser', () => {
  it('take no lock when they were closed before they had a credential', async () => {
    let give = (_: string) => {};
    const getToken = () => new Promise<string>(resolve => (give = resolve));
    const client = await open({ user: 'ann', getToken });
    client.close();
    give('t');
    await settle();
    expect([browser.locks.leads('held'), browser.locks.leads('waiting')]).toEqual([0, 0]);
    expect(server.connections).toBe(0);
  });

  it('give the lock back for good when they close, leader or not', async () => {
    const first = await open();
    const second = await open();
    await settle();
    expect(browser.locks.leads('waiting')).toBe(1);
    first.close();
    await settle();
    await new Promise(resolve => setTimeout(resolve, 20));
    // The second leads now, and the first is not behind it.
    expect([browser.locks.leads('held'), browser.locks.leads('waiting')]).toEqual([1, 0]);
    second.close();
    await settle();
    expect([browser.locks.leads('held'), browser.locks.leads('waiting')]).toEqual([0, 0]);
  });

  it('leave the queue while they are hidden, but a hidden one that is alone leads', async () => {
    browser.show('hidden');
    const first = await open();
    await settle();
    expect(browser.locks.leads('held')).toBe(1);
    browser.show('visible');
    const second = await open();
    await settle();
    expect(browser.locks.leads('waiting')).toBe(1);
    browser.show('hidden');
    await settle();
    expect([browser.locks.leads('held'), browser.locks.leads('waiting')]).toEqual([1, 0]);
    browser.show('visible');
    await settle();
    expect(browser.locks.leads('waiting')).toBe(1);
    await shown();
    expect([role(first), role(second)]).toEqual(['leader', 'follower']);
  });

  it('go alone where locks or channels are refused', async () => {
    browser.locks.refuses = true;
    const client = await open();
    await settle();
    expect(server.connections).toBe(1);
    client.close();
    browser.locks.refuses = false;
    vi.stubGlobal(
      'BroadcastChannel',
      class {
        constructor() {
          throw new DOMException('no channels here', 'SecurityError');
        }
      },
    );
    const other = await open();
    await shown();
    expect([server.connections, role(other)]).toEqual([2, 'solo']);
  });

  it('take the lock of one that answers nothing, which follows when it goes on', async () => {
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout', 'performance'] });
    const pass = async (time: number) => {
      for (let passed = 0; passed < time; passed += 100) {
        await vi.advanceTimersByTimeAsync(100);
        await settle(5);
      }
    };
    const first = await open();
    await pass(200);
    const [deaf] = browser.channels;
    const hear = deaf?.onmessage;
    const second = await open();
    await pass(20_000);
    expect([role(first), role(second)]).toEqual(['leader', 'follower']);
    // It holds the lock, and hears nothing.
    if (deaf) deaf.onmessage = null;
    await second.send(THREAD, { text: 'once' });
    await pass(10_000);
    expect([role(first), role(second)]).toEqual(['follower', 'leader']);
    expect([browser.locks.leads('held'), browser.locks.leads('waiting')]).toEqual([1, 1]);
    if (deaf && hear) deaf.onmessage = hear;
    await pass(2_000);
    expect(server.sockets.size).toBe(1);
    expect(server.messages.filter(({ text }) => text === 'once')).toHaveLength(1);
    expect([role(first), role(second)]).toEqual(['follower', 'leader']);
    vi.useRealTimers();
  });

  it('set a timer when something is due sooner, and not for every frame that moves it to later', async () => {
    vi.stubGlobal('requestAnimationFrame', (show: (now: number) => void) =>
      setImmediate(() => show(performance.now())),
    );
    const tabs = [await open(), await open()];
    const threads = tabs.map(tab => tab.thread(THREAD));
    await settle();
    server.startRun('run', 'answer');
    await settle();
    expect(tabs.map(role)).toEqual(['leader', 'follower']);
    const timers = vi.spyOn(globalThis, 'setTimeout');
    for (let at = 0; at < 100; at++) {
      server.write(`${at} `);
      await settle(1);
    }
    await settle();
    const set = timers.mock.calls.length;
    timers.mockRestore();
    const texts = threads.map(thread => thread.stream('answer').text());
    expect(texts.map(text => text.endsWith('98 99 '))).toEqual([true, true]);
    // The follower's watch draws its time anew with each frame: a shorter one than all before is rare.
    expect(set).toBeLessThan(40);
    for (const thread of threads) thread.release();
  });

  it('begin with a last epoch that is none', async () => {
    for (const kept of ['Infinity', '1e300', '-5', 'null', '9007199254740993', '{}']) {
      browser.strings.setItem('threadmill:1:local@http://server.test/v1', kept);
      const client = await open();
      await settle();
      await shown();
      expect([kept, role(client)]).toEqual([kept, 'leader']);
      expect(Number(browser.strings.getItem('threadmill:1:local@http://server.test/v1'))).toBeLessThan(10);
      client.close();
      await settle();
    }
  });

  it('go alone where the browser does not say whether there are locks', async () => {
    browser.locks.request = () => new Promise(() => {});
    const client = await open();
    await vi.waitFor(() => expect(server.connections).toBe(1), 3_000);
    await shown();
    expect(role(client)).toBe('solo');
  });

  it('tell what was written before they could be heard', async () => {
    await open({ user: 'ann' });
    await settle();
    let give = (_: string) => {};
    const getToken = () => new Promise<string>(resolve => (give = resolve));
    // It has a credential only later: what it writes until then nobody hears.
    const late = await open({ user: 'ann', getToken });
    await late.send(THREAD, { text: 'early' });
    await settle();
    expect(server.messages.length).toBe(3);
    give('t');
    await settle();
    expect(server.messages.at(-1)?.text).toBe('early');
  });

  it('go on when a socket cannot even be made', async () => {
    let tries = 0;
    vi.stubGlobal(
      'WebSocket',
      class {
        static readonly OPEN = 1;
        constructor() {
          tries += 1;
          throw new DOMException('forbidden', 'SecurityError');
        }
      },
    );
    const client = await open({ tabs: 'off' });
    await client.send(THREAD, { text: 'all the same' });
    await settle();
    expect(server.messages.at(-1)?.text).toBe('all the same');
    await vi.waitFor(() => expect(tries).toBeGreaterThan(1), 3_000);
  });

  it('read a core that is given as a response once, and make any number of clients of it', async () => {
    const response = new Response(wasm, { headers: { 'content-type': 'application/wasm' } });
    const engines = [];
    for (let made = 0; made < 2; made++) {
      engines.push((await open({ wasm: response, tabs: 'off' })).status.getSnapshot().engine);
    }
    expect(engines).toEqual(['sync', 'sync']);
  });

  it('ask for no credential after they are closed', async () => {
    vi.useFakeTimers();
    let asked = 0;
    let fail = () => {};
    const getToken = () => {
      asked += 1;
      return new Promise<string>((_, reject) => (fail = () => reject(new Error('offline'))));
    };
    const client = await open({ user: 'ann', getToken, tabs: 'off' });
    await vi.advanceTimersByTimeAsync(1);
    client.close();
    fail();
    const before = asked;
    await vi.advanceTimersByTimeAsync(60_000);
    vi.useRealTimers();
    expect(asked).toBe(before);
  });
});

describe('a thread that is deleted', () => {
  it('is kept no more, whoever said that it is gone', async () => {
    const forget = vi.spyOn(WindowCache.prototype, 'forget');
    const client = await open();
    await settle();
    await client.deleteThread(THREAD);
    expect(forget.mock.calls).toEqual([[THREAD]]);
    const removed: string[] = [];
    const owner = { released: () => {}, removed: (id: string) => removed.push(id) };
    const list = new ThreadList({} as Host, new Frames(new Page()), 1, owner);
    list.apply([LIST.remove, 'other']);
    expect(removed).toEqual(['other']);
    forget.mockRestore();
  });
});

describe('users of one browser', () => {
  const named = (sub: string) => ({ getToken: () => token({ sub }), storage: 'auto' as const });

  it('who come with a credential share nothing', async () => {
    const ann = await open(named('ann'));
    await settle();
    const bob = await open(named('bob'));
    await settle();
    expect(browser.locks.leads('held')).toBe(2);
    ann.drafts.set('t', 'half a sentence');
    expect(bob.drafts.get('t')).toBe('');
  });

  it('are not mixed up when the credential changes hands', async () => {
    let sub = 'ann';
    const client = await open({ getToken: () => token({ sub, exp: Date.now() / 1_000 + 0.2 }) });
    await settle();
    sub = 'bob';
    await new Promise(resolve => setTimeout(resolve, 250));
    await shown();
    expect(client.status.getSnapshot()).toMatchObject({
      connection: 'refused',
      error: { code: 'user_changed' },
    });
    await expect(client.send(THREAD, { text: 'whose?' })).rejects.toMatchObject({ code: 'released' });
    expect([server.sockets.size, browser.locks.leads('held')]).toEqual([0, 0]);
  });

  it('of whom nobody can tell in time keep nothing', async () => {
    const getToken = () => Promise.reject(new Error('offline'));
    const client = await open({ getToken });
    client.drafts.set('t', 'text');
    await settle();
    expect([[...browser.strings.map.keys()], browser.locks.leads('held')]).toEqual([[], 0]);
  });
});

describe('a large draft', () => {
  it.each(['sync', 'direct'] as const)('is stored when the page goes, with the %s engine', async engine => {
    const client = await open({ engine, tabs: 'off', user: 'ann' });
    const stored = () => [...browser.strings.map].find(([key]) => key.startsWith('threadmill.draft.'))?.[1];
    client.drafts.set('t', 'x'.repeat(100_000));
    expect(stored()).toBeUndefined();
    browser.events.dispatchEvent(new Event('pagehide'));
    expect(stored()?.length).toBe(100_000);
    client.drafts.set('t', 'y'.repeat(100_001));
    client.close();
    expect(stored()?.length).toBe(100_001);
  });
});

describe('signing out', () => {
  it('reaches pages that share no channel, and those that were put aside', async () => {
    const options = { tabs: 'off', user: 'ann' } as const;
    const [here, there] = [await open(options), await open(options)];
    await settle();
    const { size } = server.sockets;
    expect(size).toBe(2);
    await here.signOut();
    expect([...browser.strings.map.keys()]).toEqual([]);
    expect(server.sockets.size).toBe(1);
    browser.events.dispatchEvent(new Event('pageshow'));
    expect(server.sockets.size).toBe(0);
    await expect(there.send(THREAD, { text: 'x' })).rejects.toMatchObject({ code: 'released' });

    const [one] = [await open(options), await open(options)];
    await settle();
    await one.signOut();
    const key = 'threadmill.signed-in.ann@http://server.test/v1';
    browser.events.dispatchEvent(Object.assign(new Event('storage'), { key }));
    expect(server.sockets.size).toBe(0);
  });

  it('gives up what is under way and asks for no other credential', async () => {
    let asked = 0;
    const getToken = () => `token ${++asked}`;
    const client = await open({ user: 'ann', getToken });
    await settle();
    server.mood = 'silent';
    let signal: AbortSignal | null | undefined;
    const before = fetch;
    vi.stubGlobal('fetch', (url: string, init: RequestInit) => {
      if (init.method === 'POST') signal = init.signal;
      return before(url, init);
    });
    const stopped = client.stop('r');
    stopped.catch(() => {});
    await settle();
    expect(signal?.aborted).toBe(false);
    await client.signOut();
    expect(signal?.aborted).toBe(true);
    await expect(stopped).rejects.toMatchObject({ code: 'released' });
    await settle();
    expect(asked).toBe(1);
    expect((client as SyncClient).outbox.all()).toEqual([]);
    // Nor does anything that wakes late write again.
    expect([...browser.strings.map.keys()]).toEqual([]);
  });
});
