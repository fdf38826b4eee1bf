//! The test app in a DOM, over the real client, its core and a real server, whose model does what a question's words say.

// @vitest-environment jsdom

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AssistantRuntime, ThreadMessage } from '@assistant-ui/react';
import { type Client, createClient } from '@threadmill/client';
import { createRoot, type Root } from 'react-dom/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { WebSocket } from 'ws';
import { startModelled } from '../../client/test/model.js';
import { BINARY, needsServer, type Server } from '../../client/test/server.js';
import { App } from './app/app.js';

const wasm = readFileSync(join(import.meta.dirname, '../../client/wasm/threadmill.wasm'));
const SHORT = 'rate:200 words:5';
const EVERYTHING = 'rate:60 thoughts:20 words:40 tool';
const LONG = 'rate:40 words:1200';

const textOf = (message: ThreadMessage | undefined) =>
  (message?.content ?? []).map(part => (part.type === 'text' ? part.text : '')).join('');

describe.skipIf(!BINARY)(`assistant-ui${needsServer}`, { timeout: 60_000 }, () => {
  let server: Server;
  let client: Client;
  let root: Root;
  let page: HTMLElement;
  let runtime: AssistantRuntime;

  beforeAll(async () => {
    server = await startModelled();
    // Sockets of the DOM want events of its realm, which Node does not give them; those of Node bring bytes of Node's.
    vi.stubGlobal('WebSocket', WebSocket);
    vi.stubGlobal('ArrayBuffer', Buffer.allocUnsafeSlow(1).buffer.constructor);
    vi.stubGlobal('Uint8Array', Object.getPrototypeOf(Buffer.prototype).constructor);
    // A DOM without layout has none of these.
    vi.stubGlobal(
      'ResizeObserver',
      class {
        observe() {}
        unobserve() {}
        disconnect() {}
      },
    );
    Element.prototype.scrollTo = () => {};
  });

  afterAll(async () => {
    vi.unstubAllGlobals();
    await server?.stop();
  });

  beforeEach(async () => {
    const user = crypto.randomUUID();
    client = await createClient({ url: server.url, user, wasm, storage: 'memory', tabs: 'off' });
    page = document.createElement('div');
    document.body.append(page);
    root = createRoot(page);
    root.render(
      <App
        client={client}
        onRuntime={made => {
          runtime = made;
        }}
      />,
    );
    await vi.waitUntil(() => runtime !== undefined, { timeout: 20_000 });
  });

  afterEach(async () => {
    root.unmount();
    runtime = undefined as never;
    page.remove();
    client.close();
  });

  const messages = () => runtime.thread.getState().messages;
  const isIdle = () => !runtime.thread.getState().isRunning && messages().at(-1)?.role === 'assistant';

  /** Lets the page go on until it is so. */
  async function until(what: () => boolean): Promise<void> {
    for (const deadline = Date.now() + 20_000; Date.now() < deadline && !what(); )
      await new Promise(resolve => setTimeout(resolve, 20));
    expect(
      what(),
      JSON.stringify(messages().map(message => [message.role, textOf(message).slice(0, 40)])),
    ).toBe(true);
  }

  async function send(text: string): Promise<void> {
    const before = messages().length;
    runtime.thread.composer.setText(text);
    runtime.thread.composer.send();
    await until(() => messages().length >= before + 2);
  }

  /** The messages as the server has them. */
  async function stored(): Promise<{ id: string; status: string }[]> {
    const { user } = await client.info();
    const headers = { 'x-threadmill-user': user };
    const response = await fetch(`${server.url}/v1/threads/${mainThread().threadId}/messages`, { headers });
    return ((await response.json()) as { messages: { id: string; status: string }[] }).messages;
  }

  const mainThread = () => ({ threadId: runtime.threads.getState().mainThreadId });
  const buttonOf = (name: string) =>
    [...page.querySelectorAll('button')].findLast(({ textContent }) => textContent === name);

  /** Presses a button, once it is on the page and can be pressed. */
  async function press(name: string): Promise<void> {
    await until(() => buttonOf(name)?.disabled === false);
    buttonOf(name)?.click();
  }

  it('the first message makes a thread, and its answer is shown as it grows, with all its parts', async () => {
    const seen = new Set<string>();
    const unsubscribe = runtime.thread.subscribe(() => void seen.add(textOf(messages().at(-1))));
    await send(EVERYTHING);
    await until(isIdle);
    unsubscribe();
    const answer = messages().at(-1);
    const partly = [...seen].filter(text => text !== '' && text !== textOf(answer));
    expect(partly.length).toBeGreaterThan(0);
    expect(answer?.status).toEqual({ type: 'complete', reason: 'stop' });
    expect(new Set(answer?.content.map(({ type }) => type))).toEqual(
      new Set(['reasoning', 'text', 'tool-call']),
    );
    const kept = await stored();
    expect(kept.map(({ id }) => id)).toEqual(messages().map(({ id }) => id));
    // Its parts show text letter by letter.
    await until(() => page.textContent?.includes(textOf(answer)) === true);
    await until(() => runtime.threads.getState().threadIds.includes(mainThread().threadId));
  });

  it('a stop ends the answer, and the next question is answered', async () => {
    await send(LONG);
    await until(() => textOf(messages().at(-1)).length > 40);
    await press('Stop');
    await until(isIdle);
    expect(messages().at(-1)?.status).toEqual({ type: 'incomplete', reason: 'cancelled' });
    await send(SHORT);
    await until(isIdle);
    expect((await stored()).map(({ status }) => status)).toEqual([
      'complete',
      'stopped',
      'complete',
      'complete',
    ]);
  });

  it('another answer stands beside the first, and either can be picked', async () => {
    await send(SHORT);
    await until(isIdle);
    await send(SHORT);
    await until(isIdle);
    const first = messages()[1]?.id as string;
    const later = messages()[3]?.id as string;
    runtime.thread.getMessageByIndex(1).reload();
    await until(() => isIdle() && messages()[1]?.id !== first);
    expect(messages().length).toBe(2);
    /** The page, too, shows which of how many versions it is. */
    const shows = (text: string) => until(() => isIdle() && page.textContent?.includes(text) === true);
    await shows('2/2');
    await press('Previous');
    await until(() => messages()[1]?.id === first);
    expect(messages().map(({ id }) => id)).toContain(later);
    await shows('1/2');
    // A third answer, beside the first: the order of the versions is the server's, whichever is shown.
    runtime.thread.getMessageByIndex(1).reload();
    await shows('3/3');
    expect(messages().length).toBe(2);
    // The first of three is two steps away.
    const far = `version 0 1 ${messages()[1]?.id}`;
    runtime.thread.getMessageByIndex(1).switchToBranch({ branchId: far });
    await until(() => messages()[1]?.id === first);
    await shows('1/3');
    await press('Next');
    await until(() => textOf(messages()[1]) !== '' && messages()[1]?.id !== first);
    await shows('2/3');
  });

  it('an edited question gets an answer of its own', async () => {
    await send('rate:200 words:3');
    await until(isIdle);
    await send(SHORT);
    await until(isIdle);
    const { composer } = runtime.thread.getMessageByIndex(0);
    composer.beginEdit();
    composer.setText('rate:200 words:4');
    composer.send();
    await until(() => isIdle() && textOf(messages()[0]) === 'rate:200 words:4');
    expect(messages().length).toBe(2);
    expect(runtime.thread.getMessageByIndex(0).getState().branchCount).toBe(2);
  });

  it('threads are listed, opened, named, put away and deleted', async () => {
    await send(SHORT);
    await until(isIdle);
    const first = mainThread().threadId;
    await press('New');
    await until(() => messages().length === 0);
    await send('rate:200 words:2');
    await until(isIdle);
    const second = mainThread().threadId;
    await until(() => runtime.threads.getState().threadIds.length === 2);
    await runtime.threads.getItemById(first).rename('Gardens');
    await until(() => runtime.threads.getItemById(first).getState().title === 'Gardens');
    await runtime.threads.switchToThread(first);
    await until(() => textOf(messages()[0]) === SHORT);
    await runtime.threads.getItemById(second).archive();
    await until(() => !runtime.threads.getState().threadIds.includes(second));
    await runtime.threads.getItemById(first).delete();
    await until(() => !runtime.threads.getState().threadIds.includes(first));
    await until(() => messages().length === 0);
  });

  it('of a long thread the newest messages are shown, and older ones when they are asked for', async () => {
    const parts = [{ type: 'text', text: 'x' }];
    const { user } = await client.info();
    const headers = { 'content-type': 'application/json', 'x-threadmill-user': user };
    const ask = (path: string, body: object) =>
      fetch(`${server.url}/v1${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    const id = crypto.randomUUID();
    await ask('/threads', { id, message: { parts } });
    for (let at = 0; at < 150; at++)
      await ask(`/threads/${id}/messages`, { parts: [{ type: 'text', text: `${at}` }] });
    await until(() => runtime.threads.getState().threadIds.includes(id));
    await runtime.threads.switchToThread(id);
    await until(() => textOf(messages().at(-1)) === '149');
    const shown = messages().length;
    expect(shown).toBeLessThan(150);
    await runtime.thread.loadEarlier();
    await until(() => messages().length > shown);
    expect(textOf(messages().at(-1))).toBe('149');
  });
});
