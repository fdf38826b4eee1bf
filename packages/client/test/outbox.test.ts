//! The outbox of several tabs over one store: what is kept, who sends, what becomes of it. The core that sends is the
//! real one; the network is the test's.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it, vi } from 'vitest';
import { Call, type CallKind, Core, type CoreModule, loadCore } from '../src/core/core.js';
import { decode } from '../src/core/decode.js';
import { OUT, type Output } from '../src/core/wire.js';
import { Outbox, type OutboxMessage } from '../src/outbox/outbox.js';
import { Frames } from '../src/page/frames.js';
import type { OutboxEntry } from '../src/storage/records.js';
import { Storage } from '../src/storage/storage.js';
import type { Api, Tried } from '../src/transport/api.js';
import * as writes from '../src/transport/writes.js';
import { ProblemError, unreachable } from '../src/words/problem.js';
import type { Part } from '../src/words/types.js';
import { Page } from './surroundings.js';

let module: CoreModule;
beforeAll(async () => {
  module = await loadCore(readFileSync(new URL('../wasm/threadmill.wasm', import.meta.url)));
});

/** Effects by key, in order; requests can be held, refused or lost. */
class Server {
  readonly done: string[] = [];
  readonly seen: string[] = [];
  offline = false;
  loseAnswers = false;
  refuse: string | undefined;

  try(write: writes.Write): Promise<Tried> {
    if (this.offline) return Promise.resolve({ problem: unreachable() });
    this.seen.push(write.key);
    if (this.refuse === write.key) {
      return Promise.resolve({ problem: new ProblemError({ code: 'message_too_large', status: 413 }) });
    }
    if (!this.done.includes(write.key)) this.done.push(write.key);
    if (this.loseAnswers) return Promise.resolve({ problem: unreachable() });
    return Promise.resolve({ answer: { message: { id: write.messageId, branch: 'b' } } });
  }
}

/** The browser: what its tabs share. */
class Browser {
  readonly page = new Page();
  readonly server = new Server();
  readonly tabs: Tab[] = [];
  now = 0;

  constructor(readonly storage = new Storage('test', 'memory', () => {})) {}

  open(role: 'leader' | 'follower'): Tab {
    const tab = new Tab(this);
    this.tabs.push(tab);
    tab.outbox.become(role);
    return tab;
  }

  close(tab: Tab): void {
    this.tabs.splice(this.tabs.indexOf(tab), 1);
  }

  /** Lets everything that is under way happen, and time pass: at least a millisecond, which orders what tabs make. */
  async settle(): Promise<void> {
    const started = Date.now();
    for (let turn = 0; turn < 40 || Date.now() === started; turn++) {
      await new Promise(resolve => setImmediate(resolve));
      this.now += 1_000;
      for (const tab of this.tabs) tab.call(Call.tick, 0);
      this.page.frame();
    }
  }
}

class Tab {
  readonly core = new Core(module, Math.random());
  readonly outbox: Outbox;
  readonly outcomes: string[] = [];

  constructor(readonly browser: Browser) {
    const tell = (message: OutboxMessage) => {
      const copy = structuredClone(message);
      queueMicrotask(() => {
        for (const tab of browser.tabs) if (tab !== this) tab.outbox.receive(copy);
      });
    };
    const host = {
      broadcast: tell,
      call: (kind: CallKind, a: number, texts?: string[], b?: number, c?: number) =>
        this.call(kind, a, texts, b, c),
    };
    this.outbox = new Outbox(
      new Frames(browser.page),
      host,
      browser.server as unknown as Api,
      browser.storage,
      (write, outcome) => {
        if (outcome)
          this.outcomes.push(`${write.key} ${'answer' in outcome ? 'done' : outcome.problem.code}`);
      },
    );
    this.call(Call.start, 0);
  }

  call(kind: CallKind, a: number, texts?: string[], b?: number, c?: number): boolean {
    const known = this.core.call(kind, this.browser.now, a, texts, b, c);
    for (const output of decode(this.core.poll()) as Output[]) {
      if (output[0] === OUT.write) void this.outbox.write(output[1]);
      else if (output[0] === OUT.writing) this.outbox.writing(output[1], output[2]);
    }
    return known === 1;
  }

  send(text: string, threadId = 't', run = false) {
    const write = writes.send(threadId, { text, run });
    return { write, ...this.outbox.add(write) };
  }

  get items() {
    return this.outbox.all().map(({ item }) => item);
  }
}

describe('the outbox', () => {
  it('sends what any tab takes in, in order, and tells whoever waits', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    browser.server.offline = true;
    const sent = [];
    for (const [tab, text] of [
      [follower, 'one'],
      [leader, 'two'],
      [follower, 'three'],
    ] as const) {
      sent.push(tab.send(text));
      await browser.settle();
    }
    expect(leader.items.map(item => item.text)).toEqual(['one', 'two', 'three']);
    expect(follower.items.map(item => item.text)).toEqual(['one', 'two', 'three']);
    browser.server.offline = false;
    await browser.settle();
    expect(browser.server.done).toEqual(sent.map(({ write }) => write.key));
    await Promise.all(sent.map(one => one.sent));
    expect([leader.items, follower.items]).toEqual([[], []]);
    expect(await browser.storage.all('outbox')).toEqual([]);
  });

  it('goes on in the next leader, and in the next start of the browser', async () => {
    const browser = new Browser();
    const first = browser.open('leader');
    const second = browser.open('follower');
    browser.server.loseAnswers = true;
    const writesMade = [first.send('one').write];
    await browser.settle();
    writesMade.push(second.send('two').write);
    await browser.settle();
    browser.close(first);
    browser.server.loseAnswers = false;
    second.outbox.become('leader');
    await browser.settle();
    expect(browser.server.done).toEqual(writesMade.map(({ key }) => key));
    expect(second.items).toEqual([]);

    browser.server.offline = true;
    const kept = second.send('three').write;
    await browser.settle();
    const restarted = new Browser(browser.storage);
    restarted.open('leader');
    await restarted.settle();
    expect(restarted.server.done).toEqual([kept.key]);
  });

  it('asks the others for what the store has lost', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    const { write } = follower.send('one');
    await browser.settle();
    await browser.storage.delete('outbox', write.key);
    browser.close(leader);
    browser.server.offline = false;
    const next = browser.open('leader');
    await browser.settle();
    expect(browser.server.done).toEqual([write.key]);
    expect(next.items).toEqual([]);
  });

  it('keeps what is refused, says why, and tries again or gives up as asked from any tab', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    const refused = writes.send('t', { text: 'too long' });
    browser.server.refuse = refused.key;
    const { sent } = follower.outbox.add(refused);
    await browser.settle();
    await expect(sent).rejects.toMatchObject({ code: 'message_too_large' });
    for (const tab of [leader, follower]) {
      expect(tab.items).toMatchObject([{ state: 'failed', error: { code: 'message_too_large' } }]);
    }
    const seen = browser.server.seen.length;
    await browser.settle();
    expect(browser.server.seen.length).toBe(seen);
    browser.server.refuse = undefined;
    follower.outbox.retry(refused.key);
    await browser.settle();
    expect(browser.server.done).toEqual([refused.key]);

    const again = writes.send('t', { text: 'never' });
    browser.server.refuse = again.key;
    leader.outbox.add(again);
    await browser.settle();
    follower.outbox.discard(again.key);
    await browser.settle();
    expect([leader.items, follower.items]).toEqual([[], []]);
    expect(leader.outcomes.at(-1)).toBe(`${again.key} discarded`);
  });

  it('drops a send with its stop when neither was sent, in every tab', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    // Something is ahead, so that the send has not been tried.
    leader.send('ahead');
    await browser.settle();
    const { write, sent } = follower.send('never mind', 't', true);
    await browser.settle();
    const stop = follower.outbox.add(writes.stop('t', write.runId ?? ''));
    await browser.settle();
    await stop.sent;
    await expect(sent).rejects.toMatchObject({ code: 'discarded' });
    expect([leader, follower].map(tab => tab.items.map(item => item.text))).toEqual([['ahead'], ['ahead']]);
  });

  it('forgets in the core too what another tab has settled, and goes on with the thread', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const leader = browser.open('leader');
    const [first, second] = [leader.send('one').write, leader.send('two').write];
    await browser.settle();
    // The answer that a former leader waited for comes while this one has the write on its way.
    leader.outbox.receive({ say: 'over', key: first.key, outcome: { answer: undefined } });
    browser.server.offline = false;
    await browser.settle();
    expect(browser.server.done).toEqual([second.key]);
    expect(leader.items).toEqual([]);
  });

  it('drops what was settled while the tab was put aside, and takes it from nobody', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const leader = browser.open('leader');
    const aside = browser.open('follower');
    const ahead = leader.send('ahead').write;
    await browser.settle();
    const { write, sent } = aside.send('one');
    await browser.settle();
    browser.close(aside);
    leader.outbox.discard(write.key);
    await browser.settle();
    browser.server.offline = false;
    // A tab that has heard nothing says what it holds.
    const [entry] = [{ write, order: 1, createdAt: 1, tried: false, state: 'pending' as const }];
    leader.outbox.receive({ say: 'entry', entry });
    await browser.settle();
    expect(browser.server.seen).toEqual([ahead.key]);
    // The store can be trusted, as a database can.
    browser.storage.isDegraded = () => false;
    browser.tabs.push(aside);
    await aside.outbox.enter();
    await browser.settle();
    expect([aside.items, browser.server.seen]).toEqual([[], [ahead.key]]);
    await expect(sent).rejects.toMatchObject({ code: 'released' });
  });

  it('sends older writes first after a hand-over, whoever reads slowly', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const first = browser.open('leader');
    const one = first.send('one').write;
    await browser.settle();
    browser.close(first);
    browser.server.offline = false;
    let read = () => {};
    const all = browser.storage.all.bind(browser.storage);
    browser.storage.all = async table => {
      await new Promise<void>(resolve => {
        read = resolve;
      });
      return all(table);
    };
    const next = browser.open('leader');
    const two = next.send('two').write;
    await browser.settle();
    read();
    await browser.settle();
    expect(browser.server.seen).toEqual([one.key, two.key]);
  });

  it('sends what it holds at once when it takes over', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const first = browser.open('leader');
    const second = browser.open('follower');
    const { write } = second.send('one');
    await browser.settle();
    browser.close(first);
    browser.server.offline = false;
    browser.storage.all = () => new Promise(() => {});
    second.outbox.become('leader');
    await browser.settle();
    expect(browser.server.done).toEqual([write.key]);
  });

  it('sets aside what the core does not take, and lets go of it', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const { write, sent } = leader.send('one', 'no id at all');
    await browser.settle();
    await expect(sent).rejects.toMatchObject({ code: 'invalid_id' });
    expect(leader.items).toMatchObject([{ state: 'failed', error: { code: 'invalid_id' } }]);
    leader.outbox.discard(write.key);
    expect(leader.items).toEqual([]);
    const early = leader.send('two', 'no id either');
    leader.outbox.discard(early.write.key);
    await browser.settle();
    expect([leader.items, await browser.storage.all('outbox')]).toEqual([[], []]);
  });

  it('leaves nothing of a failed write in the core when it is tried again', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const { write } = leader.send('too long');
    browser.server.refuse = write.key;
    await browser.settle();
    const calls: [CallKind, number][] = [];
    const call = leader.call.bind(leader);
    leader.call = (kind, a, ...rest) => {
      calls.push([kind, a]);
      return call(kind, a, ...rest);
    };
    leader.outbox.retry(write.key);
    expect(calls).toEqual([
      [Call.discard, 1],
      [Call.write, 2],
    ]);
  });

  it('remembers a wish until somebody leads', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    const [one, two] = [follower.send('one').write, follower.send('two').write];
    await browser.settle();
    browser.close(leader);
    follower.outbox.discard(two.key);
    await browser.settle();
    browser.server.offline = false;
    browser.open('leader');
    await browser.settle();
    expect(browser.server.seen).toEqual([one.key]);
    expect(follower.items).toEqual([]);
  });

  it('refuses a write that is no plain data at once, and goes on with the others', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const loop: Record<string, unknown> = { type: 'data-x' };
    loop.data = loop;
    for (const data of [loop, { type: 'data-x', data: 10n }]) {
      const write = writes.send('t', { parts: [data as Part] });
      const { stored: kept, sent } = leader.outbox.add(write);
      await expect(kept).rejects.toMatchObject({ code: 'invalid_body' });
      await expect(sent).rejects.toMatchObject({ code: 'invalid_body' });
    }
    // What JSON leaves out is not sent, so it need be neither stored nor told.
    const odd = { type: 'data-x', data: { act: () => {}, word: 'w' } };
    const { write } = { write: writes.send('t', { parts: [odd] }) };
    const stored = vi.spyOn(browser.storage, 'put');
    const added = leader.outbox.add(write);
    leader.send('plain');
    await added.stored;
    const entry = stored.mock.calls.find(([, key]) => key === write.key)?.[2] as OutboxEntry;
    expect(structuredClone(entry).write.body?.parts).toEqual([{ type: 'data-x', data: { word: 'w' } }]);
    await browser.settle();
    expect([browser.server.done.length, leader.items]).toEqual([2, []]);
  });

  it('keeps and tells a text in one place', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const follower = browser.open('follower');
    const stored = vi.spyOn(browser.storage, 'put');
    const given = [
      writes.send('t', { text: 'only once' }),
      writes.createThread({ message: 'only once' }),
      writes.edit('t', 'm', { texts: [{ part: 0, text: 'only once' }] }),
      writes.renameThread('t', 'only once'),
    ];
    const told = vi.spyOn(follower.outbox, 'receive');
    for (const write of given) await leader.outbox.add(write).stored;
    await browser.settle();
    const records = stored.mock.calls.map(([, , entry]) => entry);
    const news = told.mock.calls.map(([message]) => message).filter(({ say }) => say === 'entry');
    expect(records.length + news.length).toBeGreaterThan(given.length * 2);
    for (const said of [...records, ...news]) expect(JSON.stringify(said).split('only once').length).toBe(2);
    expect(given.map(writes.textOf)).toEqual(given.map(() => 'only once'));
  });

  it('sends half a letter as the sign for what is none, in texts, titles and names of fields', async () => {
    const browser = new Browser();
    const leader = browser.open('leader');
    const sent = vi.spyOn(browser.server, 'try');
    const said = 'a\ud83d \ude00b \ud83d\ude00 \\ud83d \n"\u0001"';
    const whole = 'a\ufffd \ufffdb \ud83d\ude00 \\ud83d \n"\u0001"';
    const data = { type: 'data-x', data: { '\udc00': [said] } };
    leader.outbox.add(writes.send('t', { parts: [{ type: 'text', text: said }, data] }));
    leader.outbox.add(writes.renameThread('u', said));
    await browser.settle();
    const parts = [
      { type: 'text', text: whole },
      { type: 'data-x', data: { '\ufffd': [whole] } },
    ];
    expect(sent.mock.calls[0]?.[0].body?.parts).toEqual(parts);
    expect(sent.mock.calls[1]?.[0].body?.title).toBe(whole);
  });

  it('reads what is no write out of the store, and drops it', async () => {
    const browser = new Browser();
    const { write } = { write: writes.send('t', { text: 'whole' }) };
    const whole = { write, order: 1, createdAt: 1, tried: false, state: 'pending' };
    await browser.storage.put('outbox', write.key, JSON.parse(JSON.stringify(whole)));
    for (const [key, record] of [
      ['a', { hello: 1 }],
      ['b', null],
      ['c', { ...whole, write: { ...write, path: 'https://elsewhere.example' } }],
      ['d', whole],
    ] as const) {
      await browser.storage.put('outbox', key, record);
    }
    const leader = browser.open('leader');
    await browser.settle();
    expect([browser.server.done, leader.items]).toEqual([[write.key], []]);
    expect(await browser.storage.entries('outbox')).toEqual([]);
  });

  it('leaves to a later release what that one has stored', async () => {
    const browser = new Browser();
    const write = { ...writes.send('t', { text: 'later' }), kind: 'approve' };
    const later = JSON.parse(
      JSON.stringify({ write, order: 1, createdAt: 1, tried: false, state: 'pending' }),
    );
    await browser.storage.put('outbox', write.key, later);
    const leader = browser.open('leader');
    await browser.settle();
    expect([browser.server.done, leader.items]).toEqual([[], []]);
    expect(await browser.storage.entries('outbox')).toEqual([[write.key, later]]);
  });

  it('sends nothing more when another tab has taken the lead while it did nothing', async () => {
    const browser = new Browser();
    let marked = () => {};
    const put = browser.storage.put.bind(browser.storage);
    browser.storage.put = async (...args) => {
      // That the write was tried is being stored when the page stops answering.
      if ((args[2] as OutboxEntry).tried) await new Promise<void>(resolve => (marked = resolve));
      return put(...args);
    };
    const former = browser.open('leader');
    const { write } = former.send('once');
    await browser.settle();
    expect(browser.server.seen).toEqual([]);
    browser.storage.put = put;
    const leader = browser.open('leader');
    former.outbox.become('follower');
    await browser.settle();
    marked();
    await browser.settle();
    expect([browser.server.seen, former.items, leader.items]).toEqual([[write.key], [], []]);
  });

  it('lets nobody wait when it is closed', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const tab = browser.open('leader');
    const { sent } = tab.send('one');
    await browser.settle();
    tab.outbox.close();
    await expect(sent).rejects.toMatchObject({ code: 'released' });
    await expect(tab.send('two').stored).rejects.toMatchObject({ code: 'released' });
    expect(await browser.storage.all('outbox')).toHaveLength(1);
  });

  it('publishes once a frame, and an item that does not change keeps its identity', async () => {
    const browser = new Browser();
    browser.server.offline = true;
    const tab = browser.open('leader');
    tab.send('one');
    await browser.settle();
    const [item] = tab.outbox.getSnapshot();
    let publishes = 0;
    tab.outbox.subscribe(() => {
      publishes++;
    });
    tab.send('two', 'u');
    tab.send('three', 'v');
    expect(publishes).toBe(0);
    browser.page.frame();
    expect(publishes).toBe(1);
    expect(tab.outbox.getSnapshot().map(({ text }) => text)).toEqual(['one', 'two', 'three']);
    expect(tab.outbox.getSnapshot()[0]).toBe(item);
  });
});
