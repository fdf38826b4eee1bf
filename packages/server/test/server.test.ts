//! Answers of a backend of one's own, piped in from the AI SDK's streams, against a real server.

import { createUIMessageStream, type UIMessageStreamWriter } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { BINARY, needsServer, type Server, startServer } from '../../client/test/server.js';
import { createThreadmill, ThreadmillError } from '../src/index.js';

const after = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds));

interface Stored {
  readonly id: string;
  readonly status: string;
  readonly parts: readonly { readonly text?: string }[];
  readonly metadata?: { readonly error?: unknown };
}

describe.skipIf(!BINARY)(`a backend's answers${needsServer}`, { timeout: 30_000 }, () => {
  let server: Server;
  let threads = 0;

  beforeAll(async () => {
    server = await startServer();
  });

  afterAll(async () => {
    await server?.stop();
  });

  /** A thread with a question. */
  async function asked(): Promise<string> {
    const id = `thread-${threads++}`;
    const message = { parts: [{ type: 'text', text: 'why' }] };
    const response = await fetch(`${server.url}/v1/threads`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id, message }),
    });
    expect(response.status).toBe(201);
    return id;
  }

  async function stored(thread: string): Promise<Stored | undefined> {
    const response = await fetch(`${server.url}/v1/threads/${thread}/messages`);
    return ((await response.json()) as { messages: Stored[] }).messages.at(-1);
  }

  /** What the SDK makes of words that come one after the other. */
  const speech = (words: number, pause: number, then?: (writer: UIMessageStreamWriter) => void) =>
    createUIMessageStream({
      execute: async ({ writer }) => {
        writer.write({ type: 'text-start', id: '0' });
        for (let word = 0; word < words; word++) {
          writer.write({ type: 'text-delta', id: '0', delta: `${word} ` });
          await after(pause);
        }
        writer.write({ type: 'text-end', id: '0' });
        then?.(writer);
      },
      onError: error => (error instanceof Error ? error.message : 'unknown'),
    });

  const said = (words: number) => Array.from({ length: words }, (_, word) => `${word} `).join('');

  it('are piped in, seen while they come, and whole when they end', async () => {
    const thread = await asked();
    const threadmill = createThreadmill({ url: server.url });
    const run = await threadmill.startRun(thread);
    const writing = run.write(speech(50, 10));
    await expect.poll(async () => (await stored(thread))?.parts[0]?.text?.length ?? 0).toBeGreaterThan(10);
    expect((await stored(thread))?.status).toBe('streaming');
    expect(await writing).toBe('complete');
    const message = await stored(thread);
    expect([message?.status, message?.parts.map(({ text }) => text).join('')]).toEqual([
      'complete',
      said(50),
    ]);
  });

  it('are each said once although connections break in the middle', async () => {
    const thread = await asked();
    let broken = 0;
    const lossy: typeof fetch = (url, init) => {
      const breaks = String(url).endsWith('/chunks') && broken++ < 3;
      if (!breaks) return fetch(url, init);
      const leaving = new AbortController();
      setTimeout(() => leaving.abort(), 60);
      return fetch(url, { ...init, signal: leaving.signal });
    };
    const run = await createThreadmill({ url: server.url, fetch: lossy }).startRun(thread);
    expect(await run.write(speech(60, 10))).toBe('complete');
    expect(broken).toBeGreaterThan(3);
    expect((await stored(thread))?.parts.map(({ text }) => text).join('')).toBe(said(60));
  });

  it('hear of a stop at once, and of nothing after it', async () => {
    const thread = await asked();
    const run = await createThreadmill({ url: server.url }).startRun(thread);
    const writing = run.write(speech(2_000, 10));
    await expect.poll(async () => (await stored(thread))?.parts[0]?.text?.length ?? 0).toBeGreaterThan(10);
    const began = Date.now();
    await fetch(`${server.url}/v1/runs/${run.id}/stop`, { method: 'POST' });
    expect(await writing).toBe('stopped');
    expect(run.signal.aborted).toBe(true);
    expect(Date.now() - began).toBeLessThan(1_500);
    expect((await stored(thread))?.status).toBe('stopped');
  });

  it('end as failed with the reason of a source that fails', async () => {
    const thread = await asked();
    const run = await createThreadmill({ url: server.url }).startRun(thread);
    const failing = speech(3, 1, () => {
      throw new Error('The model is on fire.');
    });
    expect(await run.write(failing)).toBe('failed');
    const runs = await (await fetch(`${server.url}/v1/runs/${run.id}`)).json();
    expect(runs).toMatchObject({ run: { outcome: 'failed', error: 'The model is on fire.' } });
    expect((await stored(thread))?.status).toBe('failed');
  });

  it('keep their run while a model thinks for longer than a lease', { timeout: 40_000 }, async () => {
    const thread = await asked();
    const run = await createThreadmill({ url: server.url }).startRun(thread);
    async function* thinking() {
      yield { type: 'text-delta', id: '0', delta: 'so ' };
      await after(24_000);
      yield { type: 'text-delta', id: '0', delta: 'it is' };
    }
    expect(await run.write(thinking())).toBe('complete');
    expect((await stored(thread))?.parts[0]?.text).toBe('so it is');
  });

  it('are made from whole messages, and one is begun for a question', async () => {
    const long = 'why '.repeat(10_000);
    const message = { id: 'question', parts: [{ type: 'text', text: long }] };
    await fetch(`${server.url}/v1/threads`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ id: 'asked-at-length', message }),
    });
    const threadmill = createThreadmill({ url: server.url });
    const run = await threadmill.startRun('asked-at-length', { message: 'answer-question' });
    const [question, ...others] = await threadmill.messages('asked-at-length');
    expect([question?.role, question?.parts, others]).toEqual(['user', message.parts, []]);
    expect(await run.write(speech(2, 1))).toBe('complete');
    await expect(
      threadmill.startRun('asked-at-length', { message: 'answer-question' }),
    ).rejects.toMatchObject({ code: 'id_taken' });
    const answered = await threadmill.messages<{ id: string; status: string }>('asked-at-length', {
      last: 1,
    });
    expect(answered).toMatchObject([{ id: 'answer-question', status: 'complete' }]);
    await expect(threadmill.messages('nowhere')).rejects.toMatchObject({ code: 'thread_not_found' });
  });

  it('say why they cannot be written', async () => {
    const threadmill = createThreadmill({ url: server.url });
    const thread = await asked();
    await expect(threadmill.startRun('nowhere')).rejects.toMatchObject({
      code: 'thread_not_found',
      status: 404,
    });
    const run = await threadmill.startRun(thread);
    await expect(threadmill.startRun(thread)).rejects.toBeInstanceOf(ThreadmillError);
    await expect(threadmill.openRun(run.id, 'forged').write(speech(1, 1))).rejects.toMatchObject({
      code: 'unauthorized',
    });
    // Another process goes on with the token.
    expect(await threadmill.openRun(run.id, run.token).write(speech(2, 1))).toBe('complete');
  });
});
