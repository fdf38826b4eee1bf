//! The direct engine against a real server.

import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createDirectClient } from '../src/direct/index.js';
import type { Client } from '../src/words/types.js';
import { BINARY, needsServer, type Server, startServer } from './server.js';

describe.skipIf(!BINARY)(`the direct engine and a server${needsServer}`, () => {
  let server: Server;
  let client: Client;

  beforeAll(async () => {
    server = await startServer();
    client = createDirectClient({ url: server.url, user: 'ann' });
  });

  afterAll(async () => {
    client?.close();
    await server?.stop();
  });

  const until = (condition: () => boolean) =>
    expect.poll(condition, { timeout: 10_000, interval: 20 }).toBe(true);

  it('reads more pages than one, streams an answer, follows a fork and forgets what was deleted', async () => {
    const { threadId } = await client.createThread({ title: 'Long' });
    for (let i = 0; i < 210; i++) await client.send(threadId, { text: `message ${i}` });
    const thread = client.thread(threadId);
    await until(() => thread.getSnapshot().total === 210);
    const { rows, title } = thread.getSnapshot();
    expect([rows.length, title, rows[9]?.parts]).toEqual([
      210,
      'Long',
      [{ type: 'text', text: 'message 9' }],
    ]);

    await client.send(threadId, { text: 'What is AI?', run: true });
    await until(() => thread.getSnapshot().run !== undefined);
    const id = thread.getSnapshot().run?.message ?? '';
    let text = '';
    let ended = false;
    thread.stream(id).attach({
      reset: all => {
        text = all;
      },
      append: delta => {
        text += delta;
      },
      end: () => {
        ended = true;
      },
    });
    await until(() => ended);
    const last = thread.getSnapshot().rows.at(-1);
    expect(last).toMatchObject({ id, status: 'complete', parts: [{ type: 'text', text }] });
    expect(text).toContain('Artificial Intelligence');
    expect(thread.getSnapshot().rows[9]).toBe(rows[9]);

    const edited = await client.edit(threadId, rows[9]?.id ?? '', { text: 'another' });
    expect(edited.forked).toBe(true);
    await until(() => thread.getSnapshot().defaultBranch === edited.branch);
    expect(thread.getSnapshot().rows[9]?.fork).toMatchObject({ index: 0, total: 2 });
    await thread.switchBranch(edited.branch);
    expect(
      thread
        .getSnapshot()
        .rows.map(row => row.id)
        .slice(8),
    ).toEqual([rows[8]?.id, edited.messageId]);

    const list = client.threads();
    await until(() => list.getSnapshot().threads[0]?.title === 'Long');
    await client.deleteThread(threadId);
    await until(() => thread.getSnapshot().status === 'deleted');
    await until(() => list.getSnapshot().threads.length === 0);
    expect(client.status.getSnapshot()).toMatchObject({ connection: 'live', engine: 'direct', pending: 0 });
  }, 40_000);
});
