//! AG-UI's own client at an endpoint over a real server, whose model does what a question's words say.

import { createServer, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { HttpAgent } from '@ag-ui/client';
import { type BaseEvent, EventType, type Message } from '@ag-ui/core';
import { EventSchemas, MessageSchema } from '@ag-ui/core/schemas';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startModelled } from '../../client/test/model.js';
import { BINARY, needsServer, type Server } from '../../client/test/server.js';
import { ThreadmillAgent } from '../src/agent.js';
import { createAgUiHandler, nodeListener } from '../src/index.js';

/** Thoughts, words, a tool. */
const EVERYTHING = 'rate:60 thoughts:20 words:50 tool';
const LONG = 'rate:40 words:1200';
/** A machine may be busy with other things. */
const PATIENCE = { timeout: 20_000 };

describe.skipIf(!BINARY)(`AG-UI${needsServer}`, { timeout: 60_000 }, () => {
  let server: Server;
  let endpoint: HttpServer;
  let url: string;

  beforeAll(async () => {
    server = await startModelled();
    const headers = (request: Request) => ({ 'x-threadmill-user': request.headers.get('x-user') ?? 'ann' });
    endpoint = createServer(nodeListener(createAgUiHandler({ url: server.url, headers })));
    await new Promise<void>(resolve => endpoint.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(endpoint.address() as AddressInfo).port}/agui`;
  });

  afterAll(async () => {
    endpoint?.closeAllConnections();
    endpoint?.close();
    await server?.stop();
  });

  /** A client and all that it heard, each event checked against the protocol's schema. */
  function client(threadId: string, known: Message[] = []) {
    const agent = new ThreadmillAgent({ url, threadId, initialMessages: known });
    const heard: BaseEvent[] = [];
    agent.subscribe({ onEvent: ({ event }) => void heard.push(EventSchemas.parse(event) as BaseEvent) });
    const send = (text: string) => {
      agent.addMessage({ id: crypto.randomUUID(), role: 'user', content: text });
      return agent.runAgent();
    };
    return { agent, heard, send, types: () => [...new Set(heard.map(({ type }) => type))] };
  }

  const textsOf = (messages: readonly Message[]) =>
    messages.map(({ role, content }) => [role, content ?? '']);
  const settled = (agent: HttpAgent) =>
    agent.messages.map(message => MessageSchema.parse(message) as Message);

  async function stored(thread: string) {
    const headers = { 'x-threadmill-user': 'ann' };
    const response = await fetch(`${server.url}/v1/threads/${thread}/messages?before=50`, { headers });
    return (
      (await response.json()) as { messages: { role: string; status: string; parts: { text?: string }[] }[] }
    ).messages;
  }

  it('an answer of every kind comes whole, and is the same after a reload', async () => {
    const thread = crypto.randomUUID();
    const { agent, heard, send, types } = client(thread);
    await send(EVERYTHING);
    expect([heard[0]?.type, heard.at(-1)?.type]).toEqual([EventType.RUN_STARTED, EventType.RUN_FINISHED]);
    expect(types()).toEqual(
      expect.arrayContaining([
        EventType.REASONING_MESSAGE_CONTENT,
        EventType.TEXT_MESSAGE_CONTENT,
        EventType.TOOL_CALL_ARGS,
        EventType.TOOL_CALL_END,
      ]),
    );
    await send('rate:100 words:5');
    const seen = settled(agent);
    const kept = (await stored(thread)).filter(({ role }) => role === 'user').length;
    expect([kept, seen.filter(({ role }) => role === 'user').length]).toEqual([2, 2]);
    const again = client(thread);
    await again.agent.connectAgent();
    expect(again.types()).toEqual([
      EventType.RUN_STARTED,
      EventType.MESSAGES_SNAPSHOT,
      EventType.RUN_FINISHED,
    ]);
    expect(settled(again.agent)).toEqual(seen.map(message => expect.objectContaining(comparable(message))));
  });

  it.each(['with nothing', 'with half an answer'])(
    'a page that comes back %s follows to the end',
    async how => {
      const thread = crypto.randomUUID();
      const first = client(thread);
      void first.send('rate:60 words:120');
      await expect
        .poll(() => String(first.agent.messages.at(-1)?.content ?? '').length, PATIENCE)
        .toBeGreaterThan(40);
      first.agent.abortRun();
      const half = how.includes('half') ? structuredClone(first.agent.messages) : [];
      const again = client(thread, half);
      await again.agent.connectAgent();
      const [, answer, ...more] = await stored(thread);
      expect(more).toEqual([]);
      expect(answer?.status).toBe('complete');
      expect(textsOf(settled(again.agent)).at(-1)).toEqual(['assistant', answer?.parts[0]?.text]);
      expect(settled(again.agent).length).toBe(2);
      expect(again.types()).toContain(EventType.TEXT_MESSAGE_CONTENT);
    },
  );

  it('a stop from one page ends the answer in another, as cancelled', async () => {
    const thread = crypto.randomUUID();
    const { agent, heard, send } = client(thread);
    const sending = send(LONG);
    await expect
      .poll(() => String(agent.messages.at(-1)?.content ?? '').length, PATIENCE)
      .toBeGreaterThan(40);
    expect(await client(thread).agent.stop()).toBe(true);
    await sending;
    expect(heard.at(-1)).toMatchObject({ type: EventType.RUN_FINISHED, outcome: { type: 'cancelled' } });
    expect((await stored(thread)).at(-1)?.status).toBe('stopped');
    expect(await client(thread).agent.stop()).toBe(false);
    await send('rate:100 words:3');
    expect((await stored(thread)).map(({ status }) => status)).toEqual([
      'complete',
      'stopped',
      'complete',
      'complete',
    ]);
  });

  it('an answer that another program writes is followed, and says why it failed', async () => {
    const thread = crypto.randomUUID();
    const headers = { 'content-type': 'application/json', 'x-threadmill-user': 'ann' };
    const post = async (path: string, body: object, more: Record<string, string> = {}) => {
      const init = { method: 'POST', headers: { ...headers, ...more }, body: JSON.stringify(body) };
      return (await fetch(`${server.url}${path}`, init)).json();
    };
    const message = { parts: [{ type: 'text', text: 'why' }] };
    const { writer } = await post('/v1/threads', { id: thread, message, run: { external: true } });
    const { agent, heard } = client(thread);
    const following = agent.connectAgent().catch(() => {});
    const say = (chunk: object) => post(writer.href, [chunk], { 'threadmill-run-token': writer.token });
    await say({ type: 'text-delta', id: '0', delta: 'Because ' });
    await expect.poll(() => agent.messages.at(-1)?.content, PATIENCE).toBe('Because ');
    await say({ type: 'error', errorText: 'The model is on fire.' });
    await following;
    const error = { type: EventType.RUN_ERROR, code: 'failed', message: 'The model is on fire.' };
    expect(heard.at(-1)).toMatchObject(error);
  });

  it('what is no request, and what is another user’s, is refused', async () => {
    const thread = crypto.randomUUID();
    await client(thread).send('rate:100 words:3');
    const headers = { 'content-type': 'application/json' };
    const post = async (body: string) => {
      const response = await fetch(url, { method: 'POST', headers, body });
      return [response.status, ((await response.json()) as { code: string }).code];
    };
    const input = { threadId: thread, runId: 'r', messages: [], tools: [], context: [] };
    expect(await post('{')).toEqual([400, 'invalid_json']);
    expect(await post('{"__proto__": {"threadId": "x"}}')).toEqual([400, 'invalid_request']);
    expect(await post(JSON.stringify(input))).toEqual([400, 'invalid_request']);
    expect(await post(JSON.stringify({ ...input, threadId: '../v1/me' }))).toEqual([400, 'invalid_id']);
    expect(await post(JSON.stringify({ ...input, state: 'x'.repeat(17 << 20) }))).toEqual([
      413,
      'body_too_large',
    ]);
    const other = await fetch(`${url}?threadId=${thread}`, { headers: { 'x-user': 'bob' } });
    expect([other.status, await other.json()]).toEqual([
      404,
      expect.objectContaining({ code: 'thread_not_found' }),
    ]);
  });
});

/** A message as a snapshot has it: a tool's input is JSON written anew. */
function comparable(message: Message): object {
  if (message.role !== 'assistant' || !message.toolCalls) return message;
  return { id: message.id, role: message.role, toolCalls: expect.any(Array) };
}
