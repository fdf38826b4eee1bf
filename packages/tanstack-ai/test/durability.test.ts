//! TanStack AI's own responses and its own client over the log of a real server.

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { resumeServerSentEventsResponse, type StreamChunk, toServerSentEventsResponse } from '@tanstack/ai';
import { ChatClient, fetchServerSentEvents } from '@tanstack/ai-client';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { BINARY, needsServer, type Server, startServer } from '../../client/test/server.js';
import { type ThreadmillStreamOptions, threadmillStream } from '../src/index.js';

const after = (milliseconds: number) => new Promise(resolve => setTimeout(resolve, milliseconds));
const words = (count: number) => Array.from({ length: count }, (_, word) => `${word} `);

/** What a model says, as TanStack AI streams it. */
async function* speech(run: string, count: number, wait: number): AsyncGenerator<StreamChunk> {
  const common = { timestamp: 0, model: 'none' };
  const chunk = (more: object) => ({ ...common, ...more }) as StreamChunk;
  yield chunk({ type: 'RUN_STARTED', runId: run, threadId: 't' });
  yield chunk({ type: 'TEXT_MESSAGE_START', messageId: 'm', role: 'assistant' });
  for (const delta of words(count)) {
    yield chunk({ type: 'TEXT_MESSAGE_CONTENT', messageId: 'm', delta });
    await after(wait);
  }
  yield chunk({ type: 'TEXT_MESSAGE_END', messageId: 'm' });
  yield chunk({ type: 'RUN_FINISHED', runId: run, threadId: 't', finishReason: 'stop' });
}

const said = (chunks: readonly StreamChunk[]) =>
  chunks.map(chunk => (chunk.type === 'TEXT_MESSAGE_CONTENT' ? chunk.delta : '')).join('');

describe.skipIf(!BINARY)(`the log of a run${needsServer}`, { timeout: 30_000 }, () => {
  let server: Server;
  const routes: HttpServer[] = [];

  beforeAll(async () => {
    server = await startServer();
  });

  afterAll(async () => {
    await server?.stop();
  });

  afterEach(() => {
    for (const route of routes.splice(0)) {
      route.closeAllConnections();
      route.close();
    }
  });

  const options = (more: Partial<ThreadmillStreamOptions> = {}): ThreadmillStreamOptions => ({
    url: server.url,
    ...more,
  });
  const logOf = (runId: string, more: Partial<ThreadmillStreamOptions> = {}) =>
    threadmillStream({ runId }, options(more));

  async function readAll(log: ReturnType<typeof logOf>, from: string): Promise<StreamChunk[]> {
    const chunks: StreamChunk[] = [];
    for await (const { chunk } of log.read(from)) chunks.push(chunk);
    return chunks;
  }

  /** An app's route, as TanStack AI's docs have it. Its first `cuts` responses break off in the middle. */
  async function route(
    count: number,
    cuts: number,
  ): Promise<{ url: string; asked: string[]; models: number }> {
    const seen = { url: '', asked: [] as string[], models: 0 };
    let left = cuts;
    const app = createServer(async (incoming, outgoing) => {
      const { method = 'GET' } = incoming;
      seen.asked.push(method);
      const headers = Object.entries(incoming.headers).map(
        ([name, value]) => [name, String(value)] as [string, string],
      );
      let body = '';
      for await (const piece of incoming) body += piece;
      const init = { method, headers, ...(method === 'POST' && { body }) };
      const request = new Request(new URL(incoming.url ?? '/', seen.url), init);
      const adapter = threadmillStream(request, options());
      const answer = () => {
        const run = request.headers.get('x-run-id') ?? 'run';
        async function* model() {
          seen.models += 1;
          yield* speech(run, count, 5);
        }
        return toServerSentEventsResponse(model(), { durability: { adapter, batch: 4 } });
      };
      const response = method === 'POST' ? answer() : resumeServerSentEventsResponse({ adapter });
      outgoing.writeHead(response.status, Object.fromEntries(response.headers));
      const breaks = left-- > 0;
      let sent = 0;
      // Who is gone does not end the model: the log goes on.
      for await (const piece of response.body ?? []) {
        sent += 1;
        if (breaks && sent > 15) outgoing.destroy();
        if (!outgoing.destroyed) outgoing.write(piece);
      }
      outgoing.end();
    });
    routes.push(app);
    await new Promise<void>(resolve => app.listen(0, '127.0.0.1', resolve));
    seen.url = `http://127.0.0.1:${(app.address() as AddressInfo).port}/chat`;
    return seen;
  }

  it('a client whose connection breaks twice has the answer whole and once, from one model', async () => {
    const app = await route(120, 2);
    const client = new ChatClient({ connection: fetchServerSentEvents(app.url), threadId: 't' });
    await client.sendMessage('why');
    const answer = client.getMessages().at(-1);
    const text = answer?.parts.map(part => (part.type === 'text' ? part.content : '')).join('');
    expect([answer?.role, text]).toEqual(['assistant', words(120).join('')]);
    expect([app.models, app.asked.length]).toEqual([1, 3]);
  });

  it('who joins in the middle has it from its beginning, and who comes late, too', async () => {
    const run = crypto.randomUUID();
    const log = logOf(run);
    const response = toServerSentEventsResponse(speech(run, 60, 5), { durability: { adapter: log } });
    const draining = response.text();
    await expect
      .poll(async () => (await logOf(run).snapshot()).length, { timeout: 20_000 })
      .toBeGreaterThan(10);
    const joined = readAll(logOf(run), '-1');
    await draining;
    expect(said(await joined)).toBe(words(60).join(''));
    expect(await readAll(logOf(run), '-1')).toEqual(await joined);
    expect(await readAll(logOf(run), 'now')).toEqual([]);
  });

  it('from every offset there is exactly what comes after it', async () => {
    const run = crypto.randomUUID();
    const log = logOf(run);
    const chunks: StreamChunk[] = [];
    for await (const chunk of speech(run, 20, 0)) chunks.push(chunk);
    const offsets: string[] = [];
    for (const [from, to] of [
      [0, 1],
      [1, 8],
      [8, 9],
      [9, chunks.length],
    ] as const)
      offsets.push(...(await log.append(chunks.slice(from, to))));
    await log.close();
    expect(new Set(offsets).size).toBe(chunks.length);
    for (const [at, offset] of offsets.entries()) {
      expect(await readAll(logOf(run), offset), `offset ${at}`).toEqual(chunks.slice(at + 1));
    }
    const snapshot = await logOf(run).snapshot();
    expect(snapshot.map(({ chunk }) => chunk)).toEqual(chunks);
    // Offsets of a reading and of a snapshot are as good as those of the appends.
    for (const [at, { offset }] of snapshot.entries())
      expect(await readAll(logOf(run), offset), `entry ${at}`).toEqual(chunks.slice(at + 1));
  });

  it('appends whose answers are lost are there once', async () => {
    const run = crypto.randomUUID();
    let lost = 0;
    const lossy: typeof fetch = async (url, init) => {
      const response = await fetch(url, init);
      if (init?.method === 'POST' && lost++ % 2 === 0) throw new TypeError('The connection broke.');
      return response;
    };
    const log = logOf(run, { fetch: lossy });
    for await (const chunk of speech(run, 10, 0)) await log.append([chunk]);
    await log.close();
    expect(said(await readAll(logOf(run), '-1'))).toBe(words(10).join(''));
    expect(lost).toBeGreaterThan(10);
  });

  it('who is cut off each time before anything came waits longer each time', async () => {
    const run = crypto.randomUUID();
    await logOf(run).append([{ type: 'CUSTOM', name: 'x', value: 1 } as unknown as StreamChunk]);
    let asked = 0;
    const silent: typeof fetch = async (input, init) => {
      if (!String(input).includes('live=sse')) return fetch(input, init);
      asked += 1;
      return new Response('');
    };
    const leaving = new AbortController();
    setTimeout(() => leaving.abort(), 500);
    for await (const _ of logOf(run, { fetch: silent }).read('-1', leaving.signal))
      throw new Error('It is silent.');
    expect(asked).toBeGreaterThan(1);
    expect(asked).toBeLessThan(50);
  });

  it('a host that lost a run cannot write it any more', async () => {
    const run = crypto.randomUUID();
    const [chunk] = [{ type: 'CUSTOM', name: 'x', value: 1, timestamp: 0 } as unknown as StreamChunk];
    const first = logOf(run, { producerEpoch: 1 });
    await first.append([chunk]);
    const second = logOf(run, { producerEpoch: 2 });
    await second.append([chunk]);
    await expect(first.append([chunk])).rejects.toMatchObject({ code: 'producer_fenced' });
    await second.close();
    expect((await logOf(run).snapshot()).length).toBe(2);
  });

  it('what is no run, no offset of it, or another user’s, is not read', async () => {
    expect(await logOf('nobody').snapshot()).toEqual([]);
    await expect(readAll(logOf('nobody', { firstChunkDeadlineMs: 100 }), '-1')).rejects.toThrow('no run');
    const [offset] = await logOf('mine').append([
      { type: 'CUSTOM', name: 'x', value: 1 } as unknown as StreamChunk,
    ]);
    await logOf('mine').close();
    await expect(readAll(logOf('other'), offset as string)).rejects.toThrow('another run');
    await expect(readAll(logOf('mine'), 'threadmill:1:mine:../..:0')).rejects.toThrow();
    await expect(readAll(logOf('mine'), 'memory:v1:mine:1')).rejects.toThrow('none of');
    const bob = { headers: { 'x-threadmill-user': 'bob' }, firstChunkDeadlineMs: 100 };
    await expect(readAll(logOf('mine', bob), '-1')).rejects.toThrow('no run');
    expect(await logOf('../../v1/me', bob).snapshot()).toEqual([]);
    // Who stops reading is let go.
    const leaving = new AbortController();
    await logOf('open').append([{ type: 'CUSTOM', name: 'x', value: 1 } as unknown as StreamChunk]);
    for await (const { chunk } of logOf('open').read('-1', leaving.signal)) {
      expect(chunk.type).toBe('CUSTOM');
      setTimeout(() => leaving.abort(), 50);
    }
  });
});
