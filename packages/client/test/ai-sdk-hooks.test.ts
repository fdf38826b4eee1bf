//! The AI SDK's own `useChat`, unmodified, on the server's `/api/chat`: a page that is reloaded in mid-stream, a second
//! one, and one that becomes visible again after its connection broke.

import type { UIMessage } from 'ai';
import { Window } from 'happy-dom';
import { createElement, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { mint } from '../src/words/ids.js';
import { load } from './ai-versions.js';
import { type Modelled, startModelled } from './model.js';
import { BINARY, needsServer } from './server.js';

/** Held in its midst, so that it is being written however long a page takes to open. */
const QUESTION = 'rate:60 thoughts:10 words:20 hold words:40';

interface Hook {
  readonly messages: UIMessage[];
  readonly status: string;
  readonly error: Error | undefined;
  sendMessage(message: { text: string }): Promise<void>;
}
type Request = (url: string, init: RequestInit) => Promise<Response>;
type UseChat = (options: object) => Hook;

function textOf(message: UIMessage | undefined): string {
  return (message?.parts ?? []).map(part => (part.type === 'text' ? part.text : '')).join('');
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 20_000, interval: 20 }).toBe(true);
}

/** A `fetch` whose answers can be broken, as a network does. */
function breakable() {
  const bodies = new Set<ReadableStreamDefaultController<Uint8Array>>();
  const request: Request = async (url, init) => {
    const response = await fetch(url, init);
    const reader = response.body?.getReader();
    if (!reader) return response;
    const body = new ReadableStream<Uint8Array>({
      start: controller => void bodies.add(controller),
      pull: async controller => {
        const { done, value } = await reader.read();
        if (!bodies.has(controller)) return;
        if (!done) return controller.enqueue(value);
        bodies.delete(controller);
        controller.close();
      },
      cancel: () => reader.cancel(),
    });
    return new Response(body, { status: response.status, headers: response.headers });
  };
  const breakAll = () => {
    for (const controller of bodies) controller.error(new TypeError('network error'));
    bodies.clear();
  };
  return { request, breakAll };
}

describe.skipIf(!BINARY)(`the AI SDK's useChat${needsServer}`, () => {
  let server: Modelled;
  let window: Window;
  let roots: Root[] = [];

  beforeAll(async () => {
    server = await startModelled();
    window = new Window();
    // For the whole file: React tidies up after the last test.
    vi.stubGlobal('window', window);
    vi.stubGlobal('document', window.document);
  });

  afterAll(async () => {
    await server?.stop();
  });

  afterEach(() => {
    for (const root of roots) root.unmount();
    roots = [];
  });

  async function stored(chat: string): Promise<(UIMessage & { status: string })[]> {
    const response = await fetch(`${server.url}/v1/threads/${chat}/messages`);
    if (!response.ok) return [];
    return ((await response.json()) as { messages: (UIMessage & { status: string })[] }).messages;
  }

  describe.each([5, 6, 7] as const)('version %i', { timeout: 40_000 }, version => {
    let useChat: UseChat;
    let transportOf: (options: object) => unknown;
    beforeAll(async () => {
      const ai = await load(version);
      transportOf = options => new ai.DefaultChatTransport({ api: `${server.url}/api/chat`, ...options });
      useChat = ((await import(`ai-sdk-react-${version}`)) as { useChat: UseChat }).useChat;
    });

    /** A page that shows a chat, in strict mode. It is ready once it has asked whether there is something to resume. */
    function open(id: string, messages: UIMessage[] = [], request: Request = fetch) {
      const seen: { hook?: Hook; most: number } = { most: 0 };
      const requests = { begun: 0, answered: 0 };
      const counted: Request = async (url, init) => {
        requests.begun += 1;
        return request(url, init).finally(() => {
          requests.answered += 1;
        });
      };
      const transport = transportOf({ fetch: counted });
      function Shown() {
        seen.hook = useChat({ id, messages, transport, resume: true });
        seen.most = Math.max(seen.most, seen.hook.messages.length);
        return createElement('p', null, textOf(seen.hook.messages.at(-1)));
      }
      const element = window.document.createElement('div') as unknown as HTMLElement;
      const root = createRoot(element);
      roots.push(root);
      root.render(createElement(StrictMode, null, createElement(Shown)));
      return {
        hook: () => seen.hook as Hook,
        shown: () => element.textContent ?? '',
        isReady: () =>
          seen.hook?.status === 'ready' && requests.begun > 0 && requests.begun === requests.answered,
        isTalking: () =>
          seen.hook?.messages.at(-1)?.role === 'assistant' && (element.textContent ?? '').length > 10,
        most: () => seen.most,
        close: () => root.unmount(),
      };
    }

    it('goes on in mid-stream after a reload and in a second tab, and doubles nothing', async () => {
      const id = mint();
      const page = open(id);
      await until(page.isReady);
      void page.hook().sendMessage({ text: QUESTION });
      await until(page.isTalking);
      const [question] = page.hook().messages;
      const second = open(id, question ? [question] : []);
      await until(second.isTalking);
      page.close();
      const again = open(id, question ? [question] : []);
      await until(again.isTalking);
      await server.go();
      await until(async () => (await stored(id)).at(-1)?.status === 'complete');
      await until(() => second.isReady() && again.isReady());
      const want = textOf((await stored(id)).at(-1));
      expect([second.shown(), again.shown()]).toEqual([want, want]);
      expect([second.most(), again.most(), again.hook().error]).toEqual([2, 2, undefined]);
    });

    it.runIf(version === 7)('goes on when the page is seen again after its connection broke', async () => {
      const id = mint();
      const { request, breakAll } = breakable();
      const page = open(id, [], request);
      await until(page.isReady);
      void page.hook().sendMessage({ text: QUESTION });
      await until(page.isTalking);
      breakAll();
      await until(() => page.hook().status === 'error');
      window.document.dispatchEvent(new window.Event('visibilitychange'));
      await until(() => page.hook().status === 'streaming');
      await server.go();
      await until(async () => (await stored(id)).at(-1)?.status === 'complete' && page.isReady());
      expect(page.shown()).toBe(textOf((await stored(id)).at(-1)));
      expect(page.most()).toBe(2);
    });
  });
});
