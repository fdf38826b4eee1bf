//! The window's hooks: when they render, what keeps its identity, and where streamed text goes.

// @vitest-environment happy-dom

import type { Client, Row } from '@threadmill/client';
import { act, useEffect } from 'react';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import {
  type Messages,
  ThreadmillProvider,
  type Threads,
  useLiveParts,
  useMessages,
  useStreamText,
  useThreads,
} from '../src/index.js';
import { type FakeServer, THREAD } from './fake-server.js';
import { connected, frame, settle, show, surround, until } from './surroundings.js';

let server: FakeServer;
let client: Client;

beforeEach(async () => {
  server = surround(100);
  client = await connected();
});

afterEach(() => {
  client.close();
  vi.unstubAllGlobals();
});

/** Shows a thread; what the hook returned in each commit. */
async function opened(threadId: string | 'skip' = THREAD) {
  const commits: Messages[] = [];
  function Probe() {
    const messages = useMessages(threadId);
    useEffect(() => {
      if (commits.at(-1) !== messages) commits.push(messages);
    });
    return null;
  }
  const hide = await show(client, <Probe />);
  const now = () => commits.at(-1) as Messages;
  if (threadId !== 'skip') await until(() => now().status === 'ready');
  return { commits, now, hide };
}

it('shows a new snapshot at most once a frame', async () => {
  const { commits, now } = await opened();
  const before = commits.length;
  act(() => {
    for (let i = 0; i < 10; i++) server.append(`n${i}`, `new ${i}`);
  });
  await settle();
  expect(commits.length).toBe(before);
  await frame();
  expect(commits.length).toBe(before + 1);
  expect(now().rows.at(-1)?.id).toBe('n9');
});

it('gives a row another identity only when the row changes', async () => {
  const { now } = await opened();
  const before = new Map(now().rows.map(row => [row.id, row]));
  act(() => server.edit('m98', 'other words'));
  act(() => server.append('n', 'new'));
  await frame();
  const changed = now().rows.filter(row => before.get(row.id) !== row);
  expect(changed.map(row => row.id)).toEqual(['m98', 'n']);
});

/** A thread with a run whose text goes into an element. */
async function streaming() {
  const element = document.createElement('p');
  const commits: { text: string; row: Row | undefined }[] = [];
  function Probe() {
    const { handle, rows } = useMessages(THREAD);
    const text = useStreamText(handle ?? 'skip', 'answer');
    const row = rows.find(row => row.id === 'answer');
    const writes = row !== undefined;
    useEffect(() => (writes ? (text(element) as () => void) : undefined), [text, writes]);
    useEffect(() => {
      commits.push({ text: element.textContent ?? '', row });
    });
    return null;
  }
  await show(client, <Probe />);
  await until(
    () => commits.at(-1)?.row === undefined && client.thread(THREAD).getSnapshot().status === 'ready',
  );
  act(() => server.startRun('r', 'answer'));
  await until(() => commits.at(-1)?.row?.status === 'streaming');
  return { element, commits };
}

it('keeps streamed text out of the snapshot', async () => {
  const { element, commits } = await streaming();
  const before = commits.length;
  for (let i = 0; i < 20; i++) {
    act(() => server.write(`word${i} `));
    await frame();
  }
  expect(element.textContent).toContain('word0 word1 ');
  expect(element.textContent).toContain('word19 ');
  expect(commits.length).toBe(before);
});

it('shows parts in their order as they come, and renders for none of their text', async () => {
  const renders: string[][] = [];
  const thoughts = document.createElement('p');
  let lists = 0;
  function Answer({ row, messages }: { row: Row; messages: Messages }) {
    const parts = useLiveParts(messages.handle, row.id);
    useEffect(() => void renders.push(parts.map(part => part.type)));
    const text = useStreamText(messages.handle, row.id, 1);
    const there = parts.length > 1;
    useEffect(() => (there ? (text(thoughts) as () => void) : undefined), [text, there]);
    return null;
  }
  function Probe() {
    const messages = useMessages(THREAD);
    useEffect(() => void lists++);
    const row = messages.rows.find(row => row.id === 'answer');
    return row ? <Answer row={row} messages={messages} /> : null;
  }
  await show(client, <Probe />);
  await until(() => client.thread(THREAD).getSnapshot().status === 'ready');
  act(() => server.startRun('r', 'answer'));
  await until(() => renders.at(-1)?.join() === 'text');
  const [before, listed] = [renders.length, lists];
  act(() => server.add([3, ['1']], [4, ['1', 'Hm']]));
  await frame();
  await frame();
  act(() => server.add([4, ['1', 'm.']]));
  await frame();
  await frame();
  expect(thoughts.textContent).toBe('Hmm.');
  expect(renders.at(-1)).toEqual(['text', 'reasoning']);
  expect([renders.length, lists]).toEqual([before + 1, listed]);
  act(() => server.add([5, ['1']], [6, ['call', 'weather', true]], [0, ['2']], [1, ['2', 'So']]));
  await frame();
  await frame();
  expect(renders.at(-1)).toEqual(['text', 'reasoning', 'dynamic-tool', 'text']);
  act(() => server.add([5, ['1']], [2, ['2']]));
  act(() => server.endRun());
  await frame();
  expect(
    client
      .thread(THREAD)
      .getSnapshot()
      .rows.at(-1)
      ?.parts.map(part => part.type),
  ).toEqual(renders.at(-1));
});

it('shows the final text and the final status together', async () => {
  const { element, commits } = await streaming();
  act(() => server.write('almost '));
  await frame();
  act(() => {
    server.write('done');
    server.endRun();
  });
  expect(element.textContent).toBe('almost ');
  expect(commits.at(-1)?.row?.status).toBe('streaming');
  // Too soon for text that goes on: the end of it does not wait.
  await frame(5);
  expect(element.textContent).toBe('almost done');
  const { row } = commits.at(-1) ?? {};
  expect(row).toMatchObject({ status: 'complete', parts: [{ type: 'text', text: 'almost done' }] });
  const halfway = commits.find(({ text, row }) => (text === 'almost done') !== (row?.status === 'complete'));
  expect(halfway).toBeUndefined();
});

it('subscribes once, however often it renders', async () => {
  const handle = client.thread(THREAD);
  const subscribe = vi.spyOn(handle, 'subscribe');
  const { commits } = await opened();
  const before = commits.length;
  for (let i = 0; i < 5; i++) {
    act(() => server.append(`n${i}`, 'new'));
    await frame();
  }
  expect(commits.length).toBe(before + 5);
  expect(subscribe.mock.calls.length).toBe(1);
});

it('gives the same functions for as long as it lives', async () => {
  const { commits } = await opened();
  act(() => server.append('n', 'new'));
  await frame();
  const functions = ['loadOlder', 'loadNewer', 'jumpTo', 'switchBranch', 'setFollow'] as const;
  for (const name of functions) {
    expect(new Set(commits.map(messages => messages[name])).size, name).toBe(1);
  }
  expect(commits.length).toBeGreaterThan(2);
});

it('renders on the server, as loading', () => {
  let status: string | undefined;
  function Probe() {
    status = `${useMessages(THREAD).status} ${useThreads().status}`;
    return null;
  }
  renderToString(
    <ThreadmillProvider client={client}>
      <Probe />
    </ThreadmillProvider>,
  );
  expect(status).toBe('loading loading');
});

it('opens one view in strict mode, and gives back what it took', async () => {
  const taken = vi.spyOn(client, 'thread');
  const { hide } = await opened();
  expect(taken.mock.calls.length).toBeGreaterThan(1);
  expect(server.windows).toBe(1);
  const handle = taken.mock.results[0]?.value as ReturnType<Client['thread']>;
  expect(new Set(taken.mock.results.map(({ value }) => value)).size).toBe(1);
  const released = vi.spyOn(handle, 'release');
  await hide();
  // One was given back before the spy was there: strict mode's.
  expect(released.mock.calls.length).toBe(taken.mock.calls.length - 1);
});

it('skips', async () => {
  const asked = server.requests.length;
  const { now } = await opened('skip');
  await settle();
  expect(now().status).toBe('loading');
  expect(await now().loadOlder()).toEqual({ added: 0, hasOlder: false });
  const lists: Threads[] = [];
  function List() {
    lists.push(useThreads('skip'));
    return null;
  }
  await show(client, <List />);
  await settle();
  expect(lists.at(-1)?.threads).toEqual([]);
  expect(server.requests.length).toBe(asked);
});

it('loads a page once for all who ask, and says what came', async () => {
  const { now } = await opened();
  expect(now().firstIndex).toBe(50);
  const before = server.windows;
  const asked = [now().loadOlder(), now().loadOlder(), now().loadOlder()];
  await until(() => now().firstIndex === 25);
  expect(await Promise.all(asked)).toEqual(Array(3).fill({ added: 25, hasOlder: true }));
  expect(server.windows).toBe(before + 1);
  const last = now().loadOlder();
  await until(() => now().firstIndex === 0);
  expect(await last).toEqual({ added: 25, hasOlder: false });
});

it('lists the threads', async () => {
  const lists: Threads[] = [];
  function List() {
    lists.push(useThreads());
    return null;
  }
  await show(client, <List />);
  await until(() => lists.at(-1)?.status === 'ready');
  expect(lists.at(-1)?.threads.map(thread => thread.title)).toEqual(['Title']);
  expect(new Set(lists.map(list => list.loadMore)).size).toBe(1);
});
