//! The AI SDK's own `Chat` and reader over the transport, against a real server.

import { AbstractChat, type ChatState, type ChatStatus, readUIMessageStream, type UIMessage } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type ChatTransportOptions, createChatTransport } from '../src/ai-sdk/index.js';
import { createDirectClient } from '../src/direct/index.js';
import { mint } from '../src/words/ids.js';
import type { Client } from '../src/words/types.js';
import { BINARY, needsServer, type Server, startServer } from './server.js';

class Memory implements ChatState<UIMessage> {
  status: ChatStatus = 'ready';
  error: Error | undefined;
  messages: UIMessage[];
  /** What was shown of the last message, over time. */
  readonly shown: string[] = [];

  constructor(messages: UIMessage[]) {
    this.messages = messages;
  }

  pushMessage = (message: UIMessage) => {
    this.messages = [...this.messages, message];
  };

  popMessage = () => {
    this.messages = this.messages.slice(0, -1);
  };

  replaceMessage = (index: number, message: UIMessage) => {
    this.messages = this.messages.with(index, structuredClone(message));
    this.shown.push(textOf(message));
  };

  snapshot = <T>(value: T): T => structuredClone(value);
}

class Chat extends AbstractChat<UIMessage> {
  readonly memory: Memory;

  constructor(id: string, client: Client, options: ChatTransportOptions = {}, messages: UIMessage[] = []) {
    const state = new Memory(messages);
    super({ id, state, transport: createChatTransport(client, options) });
    this.memory = state;
  }
}

function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map(part => (part.type === 'text' ? part.text : '')).join('');
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 10_000, interval: 20 }).toBe(true);
}

describe.skipIf(!BINARY)(`createChatTransport with the AI SDK${needsServer}`, () => {
  let server: Server;
  let client: Client;

  beforeAll(async () => {
    server = await startServer();
    client = createDirectClient({ url: server.url });
  });

  afterAll(async () => {
    client?.close();
    await server?.stop();
  });

  /** The thread as the server has it. */
  async function stored(thread: string, query = 'anchor=tip&before=50') {
    const response = await fetch(`${server.url}/v1/threads/${thread}/messages?${query}`);
    const window = (await response.json()) as {
      messages: (UIMessage & { status: string })[];
      runs: { id: string }[];
    };
    return window;
  }

  it('creates the thread on the first send, streams, and ends with what the server has', async () => {
    const id = mint();
    const chat = new Chat(id, client);
    await chat.sendMessage({ text: 'What is AI?' });
    expect(chat.error).toBeUndefined();
    expect(chat.status).toBe('ready');
    const { messages } = await stored(id);
    expect(chat.messages.map(m => [m.id, m.role, textOf(m)])).toEqual(
      messages.map(m => [m.id, m.role, textOf(m)]),
    );
    expect(textOf(messages[1])).toContain('Artificial Intelligence');
    // It came in pieces, each the beginning of the next.
    const { shown } = chat.memory;
    expect(shown.length).toBeGreaterThan(5);
    for (const [i, text] of shown.entries()) expect(text.startsWith(shown[i - 1] ?? '')).toBe(true);
  });

  it('appends, edits and regenerates on the branch the chat shows', async () => {
    const id = mint();
    const chat = new Chat(id, client);
    await chat.sendMessage({ text: 'What is AI?' });
    await chat.sendMessage({ text: 'Tell me a joke' });
    expect((await stored(id)).messages.length).toBe(4);

    const question = chat.messages[2]?.id ?? '';
    await chat.sendMessage({ text: 'What language are you written in?', messageId: question });
    expect(chat.error).toBeUndefined();
    const edited = await stored(id);
    expect(edited.messages.map(textOf)).toEqual(chat.messages.map(textOf));
    expect(textOf(edited.messages[2])).toBe('What language are you written in?');

    // Without an id, the last answer; it is found although the chat knows the question by its old id.
    const answer = edited.messages[3]?.id;
    await chat.regenerate();
    expect(chat.error).toBeUndefined();
    const again = await stored(id);
    expect(again.messages.length).toBe(4);
    expect(again.messages[3]?.id).not.toBe(answer);
    expect(chat.messages.at(-1)?.id).toBe(again.messages[3]?.id);

    await chat.regenerate({ messageId: chat.messages[1]?.id ?? '' });
    expect((await stored(id)).messages.map(m => m.id)).toEqual(chat.messages.map(m => m.id));
    expect(chat.messages.length).toBe(2);
  });

  it('goes on in a second chat from the middle of an answer, without doubling it', async () => {
    const id = mint();
    const first = new Chat(id, client);
    const sending = first.sendMessage({ text: 'What is AI?' });
    await until(() => textOf(first.lastMessage).length > 20 && first.lastMessage?.role === 'assistant');
    const { messages } = await stored(id);
    const second = new Chat(id, client, {}, messages);
    await second.resumeStream();
    await sending;
    expect(second.error).toBeUndefined();
    expect(second.messages.length).toBe(2);
    expect(textOf(second.lastMessage)).toBe(textOf(first.lastMessage));
  });

  it('has nothing to go on with when no run is live, or no such thread', async () => {
    const transport = createChatTransport(client);
    expect(await transport.reconnectToStream({ chatId: mint() })).toBeNull();
    const id = mint();
    await new Chat(id, client).sendMessage({ text: 'What is AI?' });
    expect(await transport.reconnectToStream({ chatId: id })).toBeNull();
  });

  it('stops the run on an abort, and only the reading where that was asked for', async () => {
    for (const stopOnAbort of [false, true, undefined]) {
      const id = mint();
      const chat = new Chat(id, client, stopOnAbort === undefined ? {} : { stopOnAbort });
      const sending = chat.sendMessage({ text: 'What is AI?' });
      await until(() => textOf(chat.lastMessage).length > 20 && chat.lastMessage?.role === 'assistant');
      await chat.stop();
      await sending;
      expect(chat.status).toBe('ready');
      if (stopOnAbort === false) expect((await stored(id)).messages[1]?.status).toBe('streaming');
      await until(async () => (await stored(id)).runs.length === 0);
      expect((await stored(id)).messages[1]?.status).toBe(stopOnAbort === false ? 'complete' : 'stopped');
    }
  });

  it('takes an abort for a stop only if the answer is not taken up again at once', async () => {
    for (const again of [true, false]) {
      const id = mint();
      const chat = new Chat(id, client);
      const sending = chat.sendMessage({ text: 'What is AI?' });
      await until(() => textOf(chat.lastMessage).length > 20 && chat.lastMessage?.role === 'assistant');
      const transport = createChatTransport(client);
      const leaving = new AbortController();
      const first = await transport.reconnectToStream({ chatId: id, abortSignal: leaving.signal });
      expect(first).not.toBeNull();
      leaving.abort();
      if (again) expect(await transport.reconnectToStream({ chatId: id })).not.toBeNull();
      await sending;
      await until(async () => (await stored(id)).runs.length === 0);
      expect((await stored(id)).messages[1]?.status).toBe(again ? 'complete' : 'stopped');
    }
  });

  it('is read by readUIMessageStream', async () => {
    const id = mint();
    const transport = createChatTransport(client);
    const question: UIMessage = { id: mint(), role: 'user', parts: [{ type: 'text', text: 'What is AI?' }] };
    const stream = await transport.sendMessages({
      trigger: 'submit-message',
      chatId: id,
      messageId: undefined,
      messages: [question],
      abortSignal: undefined,
    });
    let last: UIMessage | undefined;
    for await (const message of readUIMessageStream({ stream })) last = message;
    const { messages } = await stored(id);
    expect(last?.id).toBe(messages[1]?.id);
    expect(textOf(last)).toBe(textOf(messages[1]));
  });

  it('says why the server refuses', async () => {
    const chat = new Chat(mint(), client, { provider: 'nobody' });
    await chat.sendMessage({ text: 'What is AI?' });
    expect(chat.status).toBe('error');
    expect(chat.error).toMatchObject({ code: 'provider_unknown' });
  });
});
