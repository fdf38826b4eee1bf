//! The direct engine over a small fake server: what a component sees, and how often the server is asked.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { DirectClient } from '../src/direct/client.js';
import { FakeServer, FakeSurroundings } from './fake-server.js';

let server: FakeServer;
let page: FakeSurroundings;
let client: DirectClient;

beforeEach(() => {
  vi.useFakeTimers();
  server = new FakeServer();
  page = new FakeSurroundings();
  client = new DirectClient({ url: 'http://server' }, { page, reason: 'wasm_failed' });
});

afterEach(() => {
  client.close();
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Lets answers arrive and frames pass. */
const pass = (milliseconds: number) => vi.advanceTimersByTimeAsync(milliseconds);

function sink() {
  const calls: string[] = [];
  return {
    calls,
    reset: (text: string) => void calls.push(`=${text}`),
    append: (delta: string) => void calls.push(`+${delta}`),
    end: () => void calls.push('.'),
  };
}

describe('a thread', () => {
  it('is loaded whole, and its rows stay the objects they were', async () => {
    server.add(450);
    const thread = client.thread('t');
    await pass(100);
    const first = thread.getSnapshot();
    expect(first).toMatchObject({
      status: 'ready',
      total: 450,
      firstIndex: 0,
      hasOlder: false,
      title: 'A thread',
    });
    expect(first.rows.map(row => row.depth)).toEqual(Array.from({ length: 450 }, (_, depth) => depth));
    expect(first.rows[7]?.createdAt).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
    expect(server.count('/messages')).toBe(3);
    expect(await thread.loadOlder()).toEqual({ added: 0, hasOlder: false });

    await pass(2_000);
    expect(thread.getSnapshot()).toBe(first);
    server.add(1);
    await pass(2_100);
    const { rows } = thread.getSnapshot();
    expect(rows.length).toBe(451);
    expect(rows.slice(0, 450).every((row, i) => row === first.rows[i])).toBe(true);
    expect(client.metrics()).toMatchObject({ windowsFetched: 5, threadsHeld: 1 });
  });

  it('shows at its next polls what the tip does not tell', async () => {
    server.add(300);
    const thread = client.thread('t');
    await pass(100);
    const before = thread.getSnapshot().rows;
    server.message(3).status = 'removed';
    server.title = 'Another title';
    server.touch();
    await pass(2_100);
    const after = thread.getSnapshot();
    expect(after.title).toBe('Another title');
    expect(after.rows.length).toBe(299);
    expect(after.rows.some(row => row.depth === 3)).toBe(false);
    expect(after.rows[0]).toBe(before[0]);

    // Both at once: the new message explains the change, so that the other waits for the settling read.
    server.message(4).status = 'removed';
    server.add(1);
    await pass(2_100);
    expect(thread.getSnapshot().rows.length).toBe(300);
    await pass(12_000);
    expect(thread.getSnapshot().rows.length).toBe(299);
    // And then it is quiet: one tip a poll.
    const asked = server.count('/messages');
    await pass(20_000);
    expect(server.count('/messages') - asked).toBe(10);
  });

  it('streams by the difference of polls, twice a second, and ends text and status in one publish', async () => {
    server.add(1);
    const thread = client.thread('t');
    await pass(100);
    server.start();
    server.write('The');
    await pass(2_100);
    expect(thread.getSnapshot().run).toEqual({ id: 'run', message: 'main-1', status: 'live' });
    const user = thread.getSnapshot().rows[0];
    const seen = sink();
    thread.stream('main-1').attach(seen);
    let status: string | undefined;
    thread.stream('main-1').attach({
      reset: () => {},
      append: () => {},
      end: () => {
        status = thread.getSnapshot().rows[1]?.status;
      },
    });
    server.write('The answer');
    await pass(600);
    expect(thread.getSnapshot().rows[1]?.parts).toEqual([{ type: 'text', text: 'The answer' }]);
    expect(thread.getSnapshot().rows[0]).toBe(user);
    server.write('An answer');
    await pass(600);
    server.write('An answer.');
    server.end();
    await pass(600);
    expect(seen.calls).toEqual(['=The', '+ answer', '=An answer', '+.', '.']);
    expect(status).toBe('streaming');
    expect(thread.getSnapshot().rows[1]).toMatchObject({ status: 'complete', rev: 2 });
    expect(thread.getSnapshot().run).toBeUndefined();
    const late = sink();
    thread.stream('main-1').attach(late);
    expect(late.calls).toEqual(['=An answer.', '.']);
  });

  it('tells part by part what a run has written, in the stored order', async () => {
    server.add(1);
    const thread = client.thread('t');
    await pass(100);
    server.start();
    server.writeParts({ type: 'reasoning', text: 'Hm', state: 'streaming' });
    await pass(2_100);
    const live = thread.live('main-1');
    const thoughts = sink();
    live.stream(0).attach(thoughts);
    const orders: string[] = [];
    live.subscribe(
      () =>
        void orders.push(
          live
            .getSnapshot()
            .map(part => part.type)
            .join(),
        ),
    );
    server.writeParts({ type: 'reasoning', text: 'Hmm.', state: 'streaming' });
    await pass(600);
    expect(orders).toEqual([]);
    const before = [
      { type: 'reasoning', text: 'Hmm.' },
      { type: 'text', text: 'A' },
    ] as const;
    server.writeParts(...before, { type: 'tool-t', state: 'input-available' });
    await pass(600);
    server.writeParts(...before, { type: 'tool-t', state: 'output-available' }, { type: 'text', text: 'B' });
    await pass(600);
    server.end();
    await pass(600);
    expect(orders).toEqual(['reasoning,text,tool-t', 'reasoning,text,tool-t,text']);
    expect(thoughts.calls).toEqual(['=Hm', '+m.', '.']);
    expect(live.getSnapshot()[2]).toMatchObject({ state: 'output-available' });
    expect(thread.stream('main-1').text()).toBe('AB');
  });

  it('moves to another branch, by name or by a message there, and stays where it is if that fails', async () => {
    server.add(2);
    server.add(3, 'other');
    const thread = client.thread('t');
    await pass(100);
    expect(thread.getSnapshot()).toMatchObject({ branch: 'main', defaultBranch: 'main' });
    const moved = thread.jumpTo({ at: 'message', id: 'other-2' });
    await pass(100);
    await moved;
    expect(thread.getSnapshot()).toMatchObject({ branch: 'other', total: 3 });
    const back = thread.switchBranch('main');
    await pass(100);
    await back;
    expect(thread.getSnapshot().rows.map(row => row.id)).toEqual(['main-0', 'main-1']);
    await expect(thread.switchBranch('nowhere')).rejects.toMatchObject({ code: 'branch_not_found' });
    await pass(2_100);
    expect(thread.getSnapshot()).toMatchObject({ branch: 'main', status: 'ready', total: 2 });
  });

  it('says what is not there, and what is there no more', async () => {
    server.branches.clear();
    const thread = client.thread('t');
    await pass(100);
    expect(thread.getSnapshot()).toMatchObject({ status: 'error', error: { code: 'thread_not_found' } });
    server.add(1);
    await pass(2_000);
    expect(thread.getSnapshot()).toMatchObject({ status: 'ready', total: 1 });
    expect(thread.getSnapshot().error).toBeUndefined();
    server.branches.clear();
    await pass(2_100);
    expect(thread.getSnapshot()).toMatchObject({ status: 'deleted', rows: [] });
    expect(client.status.getSnapshot().connection).toBe('live');
  });

  it('looks at once after a write of its own', async () => {
    server.add(1);
    const thread = client.thread('t');
    await pass(100);
    const sent = client.send('t', { text: 'Hello' });
    expect(client.status.getSnapshot().pending).toBe(0);
    await pass(100);
    const { messageId } = await sent;
    expect(thread.getSnapshot().rows[1]?.id).toBe(messageId);
    expect(client.outbox.getSnapshot()).toEqual([]);
  });

  it('refuses a write that is no plain data, as the other engine does', async () => {
    for (const data of [10n, { toJSON: () => JSON.parse('{') }]) {
      const parts = [{ type: 'data-x', data }];
      await expect(client.send('t', { parts })).rejects.toMatchObject({ code: 'invalid_body', status: 400 });
    }
    expect(server.count('/messages')).toBe(0);
  });

  it('has a part with all its fields, but for what the server says of one it has cut', async () => {
    server.add(1);
    const own = [
      { type: 'data-x', preview: 'mine' },
      { type: 'data-y', preview: { bytes: 'many' } },
      { type: 'data-z', preview: null },
    ];
    const cut = { type: 'text', text: 'a', preview: { bytes: 40_000, href: '/v1/whole' } };
    server.message(0).parts = [...own, cut];
    const thread = client.thread('t');
    await pass(100);
    const [row] = thread.getSnapshot().rows;
    expect(row?.parts).toEqual([...own, { type: 'text', text: 'a' }]);
    expect(row?.previews).toEqual([{ part: 3, bytes: 40_000 }]);
  });

  it('is counted, and outlives its last release by a moment', async () => {
    server.add(1);
    const thread = client.thread('t');
    expect(client.thread('t')).toBe(thread);
    await pass(100);
    thread.release();
    thread.release();
    expect(client.thread('t')).toBe(thread);
    await pass(5_000);
    server.add(1);
    await pass(2_100);
    expect(thread.getSnapshot().total).toBe(2);
    thread.release();
    await pass(1_100);
    const asked = server.count('/messages');
    await pass(10_000);
    expect(server.count('/messages')).toBe(asked);
    expect(client.thread('t')).not.toBe(thread);
  });
});

describe('the client', () => {
  it('shows the flags of the server, and forgets them and the drafts at the end', async () => {
    server.flags = { rev: 1, flags: { a: true } };
    await pass(4_100);
    expect(client.flags.getSnapshot()).toEqual({ a: true });
    client.drafts.set('t', 'half');
    const thread = client.thread('t');
    const moved = thread.switchBranch('main');
    await client.signOut();
    await moved;
    expect([client.drafts.get('t'), client.flags.get('a', false)]).toEqual(['', false]);
    const asked = server.asked.length;
    await pass(60_000);
    expect(server.asked.length).toBe(asked);
  });
});

describe('polling', () => {
  it('rests while the page is hidden and goes on when it is shown', async () => {
    server.add(1);
    const thread = client.thread('t');
    await pass(100);
    page.isHidden = true;
    await pass(2_000);
    const asked = server.asked.length;
    server.add(1);
    await pass(60_000);
    expect(server.asked.length).toBe(asked);
    page.isHidden = false;
    page.wake();
    await pass(50);
    expect(thread.getSnapshot().total).toBe(2);
  });

  it('backs off while nothing answers, says so, and goes on at once when the network is back', async () => {
    server.add(1);
    const thread = client.thread('t');
    await pass(100);
    expect(client.status.getSnapshot()).toEqual({
      connection: 'live',
      engine: 'direct',
      reason: 'wasm_failed',
      role: 'solo',
      transport: 'poll',
      storage: 'ok',
      pending: 0,
      failed: 0,
    });
    server.failing = 0;
    await pass(5_000);
    expect(client.status.getSnapshot().connection).toBe('reconnecting');
    expect(thread.getSnapshot().status).toBe('ready');
    const asked = server.count('/messages');
    await pass(120_000);
    // Half of each limit, as the test draws it: 1, 2, 4, 8, 15, 15, … seconds apart.
    expect(server.count('/messages') - asked).toBeLessThan(13);
    server.failing = undefined;
    server.add(1);
    page.wake();
    await pass(50);
    expect(thread.getSnapshot().total).toBe(2);
    expect(client.status.getSnapshot().connection).toBe('live');
  });

  it('tells a refusal from a lost connection', async () => {
    server.failing = 401;
    client.thread('t');
    await pass(100);
    expect(client.status.getSnapshot()).toMatchObject({ connection: 'refused', error: { status: 401 } });
  });
});

describe('the list', () => {
  it('grows by pages, and keeps what did not change', async () => {
    server.threads = Array.from({ length: 120 }, (_, i) => ({ id: `t${i}`, title: `Thread ${i}` }));
    const list = client.threads();
    await pass(100);
    const first = list.getSnapshot();
    expect(first).toMatchObject({ status: 'ready', hasMore: true, loadingMore: false });
    expect(first.threads.length).toBe(50);
    const more = Promise.all([list.loadMore(), list.loadMore()]);
    await pass(100);
    await more;
    expect(list.getSnapshot().threads.length).toBe(100);
    expect(list.getSnapshot().threads[3]).toBe(first.threads[3]);

    server.threads = [{ id: 't3', title: 'Renamed' }, ...server.threads.filter(thread => thread.id !== 't3')];
    await pass(2_100);
    const after = list.getSnapshot();
    expect(after.threads[0]).toMatchObject({ id: 't3', title: 'Renamed' });
    expect(after.threads[1]).toBe(first.threads[0]);
    await pass(2_100);
    expect(list.getSnapshot()).toBe(after);
    const last = list.loadMore();
    await pass(100);
    await last;
    expect(list.getSnapshot()).toMatchObject({ hasMore: false });
    expect(list.getSnapshot().threads.length).toBe(120);
    await list.loadMore();
  });

  it('rejects the page that failed and keeps the others', async () => {
    server.threads = Array.from({ length: 60 }, (_, i) => ({ id: `t${i}`, title: '' }));
    const list = client.threads();
    await pass(100);
    server.failing = 503;
    const more = list.loadMore();
    const refused = expect(more).rejects.toMatchObject({ status: 503 });
    await pass(100);
    await refused;
    expect(list.getSnapshot()).toMatchObject({ status: 'ready', loadingMore: false, hasMore: true });
    expect(list.getSnapshot().threads.length).toBe(50);
  });
});
