//! What is remembered of a chat, on a real server, as TanStack AI reads it and as everybody else does.

import type { ModelMessage } from '@tanstack/ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BINARY, needsServer, type Server, startServer } from '../../client/test/server.js';
import { threadmillPersistence } from '../src/index.js';

const user = (content: string): ModelMessage => ({ role: 'user', content });
const assistant = (content: string): ModelMessage => ({ role: 'assistant', content });

describe.skipIf(!BINARY)(`persistence${needsServer}`, { timeout: 60_000 }, () => {
  let server: Server;

  beforeAll(async () => {
    server = await startServer();
  });

  afterAll(async () => {
    await server?.stop();
  });

  const stores = (name = 'ann') =>
    threadmillPersistence({ url: server.url, headers: { 'x-threadmill-user': name } }).stores;

  /** As any client of the server reads it. */
  async function read(path: string) {
    const headers = { 'x-threadmill-user': 'ann' };
    return (await fetch(`${server.url}/v1${path}`, { headers })).json();
  }

  const shown = async (thread: string): Promise<[string, string][]> => {
    const { messages } = await read(`/threads/${thread}/messages`);
    return messages.map(({ role, parts }: { role: string; parts: { text?: string }[] }) => [
      role,
      parts[0]?.text,
    ]);
  };

  const branches = async (thread: string): Promise<number> =>
    (await read(`/threads/${thread}`)).thread.branches;

  it('a transcript that goes on is appended to, and is a thread for everybody', async () => {
    const { messages } = stores();
    expect(await messages.loadThread('talk')).toEqual([]);
    const talk = [user('why'), assistant('because')];
    await messages.saveThread('talk', talk);
    const ids = (await read('/threads/talk/messages')).messages.map(({ id }: { id: string }) => id);
    talk.push(user('and then?'), assistant('nothing'));
    await messages.saveThread('talk', talk);
    await messages.saveThread('talk', talk);
    expect(await messages.loadThread('talk')).toEqual(talk);
    const now = (await read('/threads/talk/messages')).messages;
    expect(now.slice(0, 2).map(({ id }: { id: string }) => id)).toEqual(ids);
    expect(await shown('talk')).toEqual(talk.map(({ role, content }) => [role, content]));
    expect(await branches('talk')).toBe(1);
    expect(await stores('bob').messages.loadThread('talk')).toEqual([]);
  });

  it('one that turns off is a fork, and what was said before stays', async () => {
    const { messages } = stores();
    await messages.saveThread('turn', [user('one'), assistant('1'), user('two'), assistant('2')]);
    await messages.saveThread('turn', [user('one'), assistant('1'), user('three'), assistant('3')]);
    expect(await messages.loadThread('turn')).toEqual([
      user('one'),
      assistant('1'),
      user('three'),
      assistant('3'),
    ]);
    expect(await branches('turn')).toBe(2);
    await messages.saveThread('turn', [user('another'), assistant('beginning')]);
    expect(await messages.loadThread('turn')).toEqual([user('another'), assistant('beginning')]);
    await messages.saveThread('turn', [user('another')]);
    expect(await messages.loadThread('turn')).toEqual([user('another')]);
    await messages.saveThread('turn', [{ role: 'assistant', content: 'other role' }]);
    expect(await messages.loadThread('turn')).toEqual([assistant('other role')]);
    await messages.saveThread('turn', []);
    expect(await messages.loadThread('turn')).toEqual([]);
  });

  it('messages of every kind come back as they were, and long ones and many of them whole', async () => {
    const { messages } = stores();
    const call = { id: 'c', type: 'function' as const, function: { name: 'search', arguments: '{"q":"x"}' } };
    const rich = [
      user('what is it?'),
      { role: 'assistant', content: '', toolCalls: [call] },
      { role: 'tool', content: '{"found":1e5}', toolCallId: 'c' },
      { role: 'user', content: [{ type: 'text', content: 'this' }] },
      { role: 'assistant', content: 'A cat.', thinking: [{ content: 'It purrs.' }] },
      user('x'.repeat(100_000)),
    ] as ModelMessage[];
    const many = Array.from({ length: 230 }, (_, at) => (at % 2 ? assistant(`${at}`) : user(`${at}`)));
    const all = [...rich, ...many];
    await messages.saveThread('rich thread', all);
    expect(await messages.loadThread('rich thread')).toEqual(all);
  });

  it('of two that save at once each is whole, and the last one is it', async () => {
    const begin = [user('a')];
    await stores().messages.saveThread('race', begin);
    const one = [...begin, assistant('one'), user('more')];
    const other = [...begin, assistant('other')];
    const saves = await Promise.allSettled([
      stores().messages.saveThread('race', one),
      stores().messages.saveThread('race', other),
    ]);
    expect(saves.map(({ status }) => status)).toContain('fulfilled');
    const kept = await stores().messages.loadThread('race');
    expect([one, other]).toContainEqual(kept);
  });

  it('a run is made once, found while it runs, and never wakes again', async () => {
    const { runs } = stores();
    const made = await Promise.all(
      [1, 2].map(startedAt => runs.createOrResume({ runId: 'r', threadId: 'runs', startedAt })),
    );
    expect(made[0]).toEqual(made[1]);
    await runs.createOrResume({ runId: 'r2', threadId: 'runs', startedAt: 10 });
    expect((await runs.findActiveRun('runs'))?.runId).toBe('r2');
    await runs.update('r2', { status: 'failed', error: { message: 'boom', code: 'x' }, finishedAt: 11 });
    expect((await runs.findActiveRun('runs'))?.runId).toBe('r');
    await runs.update('r', { detachedSince: 5 });
    // As TanStack AI's own code says that a run is attached again.
    await runs.update('r', { detachedSince: undefined, status: 'completed' } as object);
    expect(await runs.get('r')).not.toHaveProperty('detachedSince');
    expect(await runs.findActiveRun('runs')).toBeNull();
    expect((await runs.createOrResume({ runId: 'r', threadId: 'z', startedAt: 99 })).status).toBe(
      'completed',
    );
    expect((await runs.listByThread('runs')).map(({ runId }) => runId)).toEqual(['r', 'r2']);
    await runs.update('nobody', { status: 'completed' });
    expect([await runs.get('nobody'), await stores('bob').runs.get('r')]).toEqual([null, null]);
  });

  it('interrupts wait until they are answered, and values are kept by namespace and key', async () => {
    const { interrupts, metadata } = stores();
    const one = { interruptId: 'i', runId: 'r', threadId: 'w', requestedAt: 2, payload: { ask: true } };
    await interrupts.create(one);
    await interrupts.create({ ...one, interruptId: 'j', requestedAt: 1 });
    expect((await interrupts.listPending('w')).map(({ interruptId }) => interruptId)).toEqual(['j', 'i']);
    await interrupts.resolve('i', { yes: 1 });
    await interrupts.create({ ...one, payload: { late: true } });
    expect(await interrupts.get('i')).toMatchObject({
      status: 'resolved',
      payload: { ask: true },
      response: { yes: 1 },
    });
    await interrupts.cancel('j');
    expect([await interrupts.listPendingByRun('r'), (await interrupts.listByRun('r')).length]).toEqual([
      [],
      2,
    ]);
    await metadata.set('a:b', 'c', { deep: [1] });
    await metadata.set('a', 'b:c', 2);
    expect([await metadata.get('a:b', 'c'), await metadata.get('a', 'b:c')]).toEqual([{ deep: [1] }, 2]);
    await metadata.delete('a:b', 'c');
    expect([await metadata.get('a:b', 'c'), await metadata.get('a', 'b:c')]).toEqual([null, 2]);
  });
});
