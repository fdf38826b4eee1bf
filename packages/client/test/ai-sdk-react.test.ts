//! The README's `useChat` example, as it is printed there, on the AI SDK's own hooks in its versions 5, 6 and 7, against
//! a real server: a reload, a second tab, a stop, and a message while an answer is written.

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { Window } from 'happy-dom';
import { createElement, type FunctionComponent, StrictMode } from 'react';
import { createRoot, type Root } from 'react-dom/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { loadMessages } from '../src/ai-sdk/index.js';
import { createDirectClient } from '../src/direct/index.js';
import { mint } from '../src/words/ids.js';
import type { Client } from '../src/words/types.js';
import { BINARY, needsServer, type Server, startServer } from './server.js';

type Conversation = FunctionComponent<{ client: Client; threadId: string }>;

const at = (path: string) => fileURLToPath(new URL(path, import.meta.url));

/** The example with the SDK of one version under the name that the README gives it. */
async function example(version: number, folder: string): Promise<Conversation> {
  const readme = await readFile(at('../README.md'), 'utf8');
  const code = /```tsx title="src\/chat\.tsx"\n(.*?)```/s.exec(readme)?.[1] ?? '';
  const file = `${folder}/chat-${version}.tsx`;
  await writeFile(
    file,
    code
      .replace("'@ai-sdk/react'", `'ai-sdk-react-${version}'`)
      .replace("'@threadmill/client/ai-sdk'", `'${at('../src/ai-sdk/index.ts')}'`)
      .replace("'@threadmill/client'", `'${at('../src/index.ts')}'`),
  );
  return (await import(/* @vite-ignore */ pathToFileURL(file).href)).Conversation;
}

async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  await expect.poll(condition, { timeout: 15_000, interval: 20 }).toBe(true);
}

describe.skipIf(!BINARY)(`the AI SDK's hooks${needsServer}`, () => {
  let server: Server;
  let client: Client;
  let folder: string;
  let roots: Root[];
  let window: Window;

  beforeAll(async () => {
    server = await startServer();
    client = createDirectClient({ url: server.url });
    // Beside this file, so that what it imports is found.
    folder = await mkdtemp(at('./.readme-'));
    window = new Window();
    // For the whole file: React tidies up after the last test.
    vi.stubGlobal('window', window);
    vi.stubGlobal('document', window.document);
  });

  afterAll(async () => {
    client?.close();
    await rm(folder, { recursive: true });
    await server?.stop();
  });

  beforeEach(() => {
    roots = [];
  });

  afterEach(() => {
    for (const root of roots) root.unmount();
  });

  /** A tab that shows the thread. */
  function open(Shown: Conversation, threadId: string) {
    const element = window.document.createElement('div') as unknown as HTMLElement;
    const root = createRoot(element);
    roots.push(root);
    root.render(createElement(StrictMode, null, createElement(Shown, { client, threadId })));
    const button = (name: string) =>
      [...element.querySelectorAll('button')].find(({ textContent }) => textContent === name);
    return {
      texts: () => [...element.querySelectorAll('p')].map(({ textContent }) => textContent ?? ''),
      alert: () => element.querySelector('[role="alert"]')?.textContent ?? '',
      ready: () => button('Ask')?.disabled === false,
      press: (name: string) => propsOf(button(name)).onClick(),
      close: () => root.unmount(),
    };
  }

  /** The thread as the server has it. */
  async function stored(thread: string) {
    const response = await fetch(`${server.url}/v1/threads/${thread}/messages?anchor=tip&before=50`);
    if (!response.ok) return [];
    const { messages } = (await response.json()) as {
      messages: { id: string; role: string; status: string; parts: { text?: string }[] }[];
    };
    return messages.map(({ parts, ...message }) => ({
      ...message,
      text: parts.map(({ text }) => text ?? '').join(''),
    }));
  }

  const says = async (thread: string, ...statuses: string[]) =>
    (await stored(thread)).map(({ status }) => status).join() === statuses.join();

  describe.each([5, 6, 7])('version %i', { timeout: 40_000 }, version => {
    let Shown: Conversation;
    beforeAll(async () => {
      Shown = await example(version, folder);
    });

    it('shows what was said after a reload, and in a second tab', async () => {
      const id = mint();
      const tab = open(Shown, id);
      await until(tab.ready);
      tab.press('Ask');
      await until(async () => tab.ready() && (await says(id, 'complete', 'complete')));
      const texts = (await stored(id)).map(({ text }) => text);
      expect(tab.texts()).toEqual(texts);
      const other = open(Shown, id);
      tab.close();
      const again = open(Shown, id);
      await until(() => other.texts().length === 2 && again.texts().length === 2);
      expect([other.texts(), again.texts()]).toEqual([texts, texts]);
      expect([tab, other, again].map(({ alert }) => alert())).toEqual(['', '', '']);
    });

    it('goes on with an answer after a reload, which stops nothing and doubles nothing', async () => {
      const id = mint();
      const tab = open(Shown, id);
      await until(tab.ready);
      tab.press('Ask');
      await until(() => (tab.texts()[1] ?? '').length > 10);
      tab.close();
      const again = open(Shown, id);
      await until(async () => (await says(id, 'complete', 'complete')) && again.ready());
      const texts = (await stored(id)).map(({ text }) => text);
      expect([again.texts(), again.alert()]).toEqual([texts, '']);
    });

    it('stops the answer for everybody, and sends the next message', async () => {
      const id = mint();
      const tab = open(Shown, id);
      await until(tab.ready);
      tab.press('Ask');
      await until(() => (tab.texts()[1] ?? '').length > 10);
      tab.press('Stop');
      await until(tab.ready);
      // At once: that it was stopped need not be known yet.
      tab.press('Ask');
      await until(() => says(id, 'complete', 'stopped', 'complete', 'complete'));
      await until(tab.ready);
      expect(tab.alert()).toBe('');
      const again = open(Shown, id);
      await until(() => again.texts().length === 4);
      expect(again.texts()).toEqual((await stored(id)).map(({ text }) => text));
    });

    it('stops an answer that it took up after a reload', async () => {
      const id = mint();
      const tab = open(Shown, id);
      await until(tab.ready);
      tab.press('Ask');
      await until(() => (tab.texts()[1] ?? '').length > 10);
      tab.close();
      const again = open(Shown, id);
      await until(() => (again.texts()[1] ?? '').length > 10 && !again.ready());
      again.press('Stop');
      await until(() => says(id, 'complete', 'stopped'));
      await until(again.ready);
      expect(again.alert()).toBe('');
    });

    it('lets a message wait for the answer that another tab has asked for', async () => {
      const id = mint();
      const [one, two] = [open(Shown, id), open(Shown, id)];
      await until(() => one.ready() && two.ready());
      one.press('Ask');
      await until(() => (one.texts()[1] ?? '').length > 10);
      two.press('Ask');
      await until(() => says(id, 'complete', 'complete', 'complete', 'complete'));
      await until(() => one.ready() && two.ready());
      expect([one.alert(), two.alert()]).toEqual(['', '']);
    });
  });

  it('are given parts whole, all pages in order, and nothing of a thread that is not there', async () => {
    expect(await loadMessages(client, mint())).toEqual([]);
    const { threadId } = await client.createThread({ message: 'x'.repeat(40_000) });
    for (let at = 0; at < 4; at++) await client.send(threadId, { text: `${at}` });
    const loaded = await loadMessages(client, threadId);
    const text = ({ parts }: { parts: readonly { type: string }[] }) => (parts[0] as { text?: string }).text;
    expect(loaded.map(message => text(message)?.length)).toEqual([40_000, 1, 1, 1, 1]);
    expect(loaded[0]?.parts[0]).not.toHaveProperty('preview');
    expect((await loadMessages(client, threadId, { limit: 2 })).map(text)).toEqual(['2', '3']);
  });
});

/** What React has given an element: there is no page here that would dispatch a click. */
function propsOf(element: Element | undefined): { onClick(): void } {
  const key = Object.keys(element ?? {}).find(name => name.startsWith('__reactProps'));
  return (element as unknown as Record<string, { onClick(): void }>)[key ?? ''] ?? { onClick: () => {} };
}
