//! Unmodified clients of the AI SDK 5, 6 and 7 on the server's own `/api/chat`: nothing of this package is in between.

import type { UIMessage } from 'ai';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { WebSocket } from 'ws';
import { mint } from '../src/words/ids.js';
import { type Ai, chatOf, load } from './ai-versions.js';
import { type Modelled, startModelled } from './model.js';
import { BINARY, needsServer } from './server.js';

type Chat = ReturnType<typeof chatOf>;
type Stored = UIMessage & { status: string };

/** Thoughts, words, a tool: each kind of part, in about two seconds. */
const QUESTION = 'rate:60 thoughts:20 words:50 tool';
/** The same, held in its midst: it is being written however long whatever reads it takes to begin. */
const HELD = 'rate:60 thoughts:20 words:20 hold words:30 tool';
const LONG = 'rate:40 words:1200';

function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map(part => (part.type === 'text' ? part.text : '')).join('');
}

/** What a message is made of, without the marks of a part that has ended, which the server does not keep. */
function partsOf(message: UIMessage | undefined): unknown {
  const plain = JSON.parse(JSON.stringify(message?.parts ?? [])) as Record<string, unknown>[];
  return plain.map(({ state, rawInput, id, ...part }) =>
    part.type === 'text' || part.type === 'reasoning' ? part : { ...part, state },
  );
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 20 }).toBe(true);
}

describe.skipIf(!BINARY)(`stock clients of the AI SDK${needsServer}`, () => {
  let server: Modelled;

  beforeAll(async () => {
    server = await startModelled();
  });

  afterAll(async () => {
    await server?.stop();
  });

  async function stored(chat: string): Promise<Stored[]> {
    const response = await fetch(`${server.url}/v1/threads/${chat}/messages?before=50`);
    return response.ok ? ((await response.json()) as { messages: Stored[] }).messages : [];
  }

  /** Reads an answer that is held, and lets it go on. */
  async function readOn(chat: Chat): Promise<void> {
    const reading = chat.resumeStream();
    await until(() => chat.status === 'streaming');
    await server.go();
    await reading;
  }

  const stop = (chat: string) => fetch(`${server.url}/api/chat/${chat}/stop`, { method: 'POST' });

  describe.each([5, 6, 7] as const)('version %i', { timeout: 60_000 }, version => {
    let ai: Ai;
    beforeAll(async () => {
      ai = await load(version);
    });

    const transport = (options: object = {}) =>
      new ai.DefaultChatTransport<UIMessage>({ api: `${server.url}/api/chat`, ...options });
    const tab = (id: string, messages: UIMessage[] = [], options: object = {}): Chat =>
      chatOf(ai, id, transport(options), messages);
    const isTalking = (chat: Chat) =>
      chat.lastMessage?.role === 'assistant' && textOf(chat.lastMessage).length > 10;

    /** What the chat shows is what the server has, part by part. */
    async function isAsStored(chat: Chat) {
      const messages = await stored(chat.id);
      expect(chat.messages.map(({ id }) => id)).toEqual(messages.map(({ id }) => id));
      expect(partsOf(chat.lastMessage)).toEqual(partsOf(messages.at(-1)));
    }

    it('sends, streams and ends with what the server has', async () => {
      const chat = tab(mint());
      await chat.sendMessage({ text: QUESTION });
      expect([chat.error, chat.status]).toEqual([undefined, 'ready']);
      await isAsStored(chat);
      const types = (chat.lastMessage?.parts ?? []).map(({ type }) => type);
      expect(types).toEqual(expect.arrayContaining(['reasoning', 'text', 'dynamic-tool']));
      await chat.sendMessage({ text: 'rate:100 words:5' });
      await isAsStored(chat);
      expect(chat.messages.length).toBe(4);
    });

    it('has nothing to resume where nothing is written', async () => {
      const chat = tab(mint());
      await chat.resumeStream();
      expect([chat.error, chat.status, chat.messages.length]).toEqual([undefined, 'ready', 0]);
    });

    it.each([
      'with the partial answer that it had',
      'with the question last',
      'with an answer of the turn before last',
    ])('goes on in mid-stream after a reload %s', async how => {
      const id = mint();
      const first = tab(id);
      if (how.includes('before')) await first.sendMessage({ text: 'rate:200 words:3' });
      const sending = first.sendMessage({ text: HELD });
      await until(() => isTalking(first) && first.status === 'streaming');
      const seen = structuredClone(first.messages);
      // The page is gone: its connection breaks, and nothing is stopped.
      await first.stop();
      await sending;
      const partial = how.includes('partial');
      const again = tab(id, partial ? seen : seen.slice(0, how.includes('before') ? -2 : -1));
      await readOn(again);
      expect([again.error, again.status]).toEqual([undefined, 'ready']);
      const messages = await stored(id);
      expect(messages.at(-1)?.status).toBe('complete');
      expect(again.lastMessage?.id).toBe(messages.at(-1)?.id);
      expect(partsOf(again.lastMessage)).toEqual(partsOf(messages.at(-1)));
      expect(again.messages.filter(({ id }) => id === again.lastMessage?.id).length).toBe(1);
    });

    it('shows a disturbed reader the same parts as an undisturbed one', async () => {
      const id = mint();
      const calm = tab(id);
      const sending = calm.sendMessage({ text: HELD });
      await until(() => isTalking(calm));
      const disturbed = tab(id, calm.messages.slice(0, 1));
      for (let times = 0; times < 4; times++) {
        const reading = disturbed.resumeStream();
        await until(() => isTalking(disturbed) || disturbed.status === 'ready');
        await disturbed.stop();
        await reading;
      }
      await readOn(disturbed);
      await sending;
      expect(partsOf(disturbed.lastMessage)).toEqual(partsOf(calm.lastMessage));
      expect(disturbed.messages.map(({ id }) => id)).toEqual(calm.messages.map(({ id }) => id));
      await isAsStored(calm);
    });

    it('lets two tabs read one answer and refuses the second message in words', async () => {
      const id = mint();
      const one = tab(id);
      const sending = one.sendMessage({ text: LONG });
      await until(() => isTalking(one));
      const two = tab(id, one.messages.slice(0, 1));
      await two.sendMessage({ text: 'rate:100 words:3' });
      expect([two.status, two.error?.message]).toEqual([
        'error',
        'An answer is still being written in this chat. Stop it, or wait for its end.',
      ]);
      const three = tab(id, one.messages.slice(0, 1));
      const following = three.resumeStream();
      await until(() => isTalking(three));
      expect((await stop(id)).status).toBe(200);
      await Promise.all([sending, following]);
      expect([one.status, three.status, one.error, three.error]).toEqual([
        'ready',
        'ready',
        undefined,
        undefined,
      ]);
      expect(partsOf(three.lastMessage)).toEqual(partsOf(one.lastMessage));
      const messages = await stored(id);
      expect(messages.map(({ status }) => status)).toEqual(['complete', 'stopped']);
      await isAsStored(one);
      // And the next message is taken.
      await one.sendMessage({ text: 'rate:100 words:3' });
      expect([one.error, (await stored(id)).length]).toEqual([undefined, 4]);
    });

    it('stops an answer that it took up, and leaves one that it only left', async () => {
      const id = mint();
      const first = tab(id);
      const sending = first.sendMessage({ text: LONG });
      await until(() => isTalking(first));
      await first.stop();
      await sending;
      expect((await stored(id)).at(-1)?.status).toBe('streaming');
      const again = tab(id, first.messages.slice(0, 1));
      const reading = again.resumeStream();
      await until(() => isTalking(again));
      await stop(id);
      await reading;
      expect([again.status, again.error]).toEqual(['ready', undefined]);
      expect((await stored(id)).at(-1)?.status).toBe('stopped');
      await isAsStored(again);
    });

    it('shows reasoning that says nothing, sources, files and data as they are kept, however it is disturbed', async () => {
      const id = mint();
      const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
        fetch(`${server.url}/v1${path}`, {
          method: 'POST',
          headers: { 'content-type': 'application/json', ...headers },
          body: JSON.stringify(body),
        });
      const message = { id: mint(), parts: [{ type: 'text', text: 'why' }] };
      const begun = await post('/threads', { id, message, run: { external: true } });
      const { run, writer } = (await begun.json()) as { run: { id: string }; writer: { token: string } };
      const say = (...chunks: object[]) =>
        post(`/runs/${run.id}/chunks`, chunks, { 'threadmill-run-token': writer.token });
      const question: UIMessage = { ...message, role: 'user', parts: [{ type: 'text', text: 'why' }] };
      const calm = tab(id, [question]);
      const reading = calm.resumeStream();
      await say({ type: 'start-step' }, { type: 'reasoning-start', id: 'r' });
      const early = tab(id, [question]);
      const interrupted = early.resumeStream();
      await until(() => early.messages.length === 2);
      await early.stop();
      await interrupted;
      await say(
        { type: 'reasoning-end', id: 'r' },
        { type: 'source-url', sourceId: 's', url: 'https://a.example/', title: 'A' },
        { type: 'source-document', sourceId: 'd', mediaType: 'application/pdf', title: 'D' },
        { type: 'file', mediaType: 'image/png', url: 'data:image/png;base64,AA==' },
        { type: 'data-weather', id: 'w', data: { at: 1 } },
        { type: 'text-start', id: 't' },
        { type: 'text-delta', id: 't', delta: 'so' },
      );
      const again = early.resumeStream();
      await until(() => textOf(early.lastMessage) === 'so');
      await say(
        { type: 'data-weather', id: 'w', data: { at: 2 } },
        { type: 'text-end', id: 't' },
        { type: 'finish-step' },
      );
      await say({ type: 'finish', finishReason: 'stop', messageMetadata: { cost: 1 } });
      await Promise.all([reading, again]);
      expect([calm.error, early.error]).toEqual([undefined, undefined]);
      expect(partsOf(early.lastMessage)).toEqual(partsOf(calm.lastMessage));
      const kept = (await stored(id)).at(-1);
      const ids = (message: UIMessage | undefined) => (message?.parts ?? []).map(({ type }) => type);
      expect(ids(kept)).toEqual(ids(calm.lastMessage));
      expect(ids(kept)).toEqual(
        expect.arrayContaining(['reasoning', 'source-url', 'source-document', 'file']),
      );
      expect(kept?.parts.find(({ type }) => type === 'data-weather')).toMatchObject({ data: { at: 2 } });
      expect([kept?.metadata, calm.lastMessage?.metadata]).toEqual([{ cost: 1 }, { cost: 1 }]);
    });

    it('edits and regenerates', async () => {
      const id = mint();
      const chat = tab(id);
      await chat.sendMessage({ text: 'rate:200 words:3' });
      await chat.regenerate();
      expect([chat.error, chat.messages.length]).toEqual([undefined, 2]);
      expect(chat.lastMessage?.id).toBe((await stored(id)).at(-1)?.id);
      await chat.sendMessage({ text: 'rate:200 words:4', messageId: chat.messages[0]?.id ?? '' });
      const messages = await stored(id);
      expect([chat.error, messages.map(textOf)]).toEqual([undefined, chat.messages.map(textOf)]);
      await chat.sendMessage({ text: 'rate:200 words:5' });
      expect((await stored(id)).map(textOf)).toEqual(chat.messages.map(textOf));
      expect(chat.messages.length).toBe(4);
      await chat.regenerate({ messageId: chat.messages[1]?.id ?? '' });
      expect((await stored(id)).map(textOf)).toEqual(chat.messages.map(textOf));
      expect(chat.messages.length).toBe(2);
    });

    it('sends again what it does not know to have arrived, and it is answered once', async () => {
      const id = mint();
      let breaks = true;
      const lossy = async (url: string, init: RequestInit) => {
        const response = await fetch(url, init);
        if (!breaks) return response;
        breaks = false;
        await response.body?.cancel();
        throw new TypeError('network error');
      };
      const chat = tab(id, [], { fetch: lossy });
      await chat.sendMessage({ text: 'rate:100 words:10' });
      expect(chat.status).toBe('error');
      const again = tab(id, chat.messages.slice(0, -1));
      await again.sendMessage(chat.messages.at(-1) as UIMessage);
      expect([again.error, again.messages.length]).toEqual([undefined, 2]);
      expect((await stored(id)).length).toBe(2);
      await isAsStored(again);
    });

    it('takes a chat whose id is no id here', async () => {
      const chat = tab(`a chat/${mint()} ü`);
      const sending = chat.sendMessage({ text: HELD });
      await until(() => isTalking(chat));
      const other = tab(chat.id, chat.messages.slice(0, 1));
      await Promise.all([readOn(other), sending]);
      expect([chat.error, other.error]).toEqual([undefined, undefined]);
      expect(partsOf(other.lastMessage)).toEqual(partsOf(chat.lastMessage));
    });
  });

  describe('version 7 over its WebSocket', { timeout: 60_000 }, () => {
    let ai: Ai;
    beforeAll(async () => {
      ai = await load(7);
    });

    const tab = (id: string, messages: UIMessage[] = []): Chat => {
      const url = `${server.url.replace('http', 'ws')}/api/chat/ws`;
      return chatOf(ai, id, new ai.WebSocketChatTransport({ url, webSocket: WebSocket }), messages);
    };

    it('sends, resumes, refuses and stops as over HTTP', async () => {
      const id = mint();
      const one = tab(id);
      await one.resumeStream();
      expect([one.error, one.messages.length]).toEqual([undefined, 0]);
      await one.sendMessage({ text: QUESTION });
      expect([one.error, one.status]).toEqual([undefined, 'ready']);
      expect(partsOf(one.lastMessage)).toEqual(partsOf((await stored(id)).at(-1)));
      const sending = one.sendMessage({ text: LONG });
      await until(() => textOf(one.lastMessage).length > 10 && one.messages.length === 4);
      const two = tab(id, one.messages.slice(0, 3));
      await two.sendMessage({ text: 'rate:100 words:3' });
      expect(two.error?.message).toContain('An answer is still being written');
      const three = tab(id, one.messages.slice(0, 3));
      const reading = three.resumeStream();
      await until(() => textOf(three.lastMessage).length > 10 && three.messages.length === 4);
      await stop(id);
      await Promise.all([sending, reading]);
      expect(partsOf(three.lastMessage)).toEqual(partsOf(one.lastMessage));
      expect((await stored(id)).at(-1)?.status).toBe('stopped');
    });

    it('is taken up after its connection broke', async () => {
      const id = mint();
      let socket: WebSocket | undefined;
      const url = `${server.url.replace('http', 'ws')}/api/chat/ws`;
      const webSocket = class extends WebSocket {
        constructor(...how: ConstructorParameters<typeof WebSocket>) {
          super(...how);
          socket = this;
        }
      };
      const chat = chatOf(ai, id, new ai.WebSocketChatTransport({ url, webSocket }));
      const sending = chat.sendMessage({ text: HELD });
      await until(() => textOf(chat.lastMessage).length > 10 && chat.messages.length === 2);
      socket?.terminate();
      await sending;
      expect(chat.status).toBe('error');
      await readOn(chat);
      expect([chat.error, chat.status]).toEqual([undefined, 'ready']);
      expect(partsOf(chat.lastMessage)).toEqual(partsOf((await stored(id)).at(-1)));
      expect(chat.messages.length).toBe(2);
    });
  });
});
