//! A run followed over connections that break, with gaps, and to each of its ends.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { follow } from '../src/ai-sdk/follow.js';
import type { UIMessageChunk } from '../src/ai-sdk/types.js';
import { Access } from '../src/transport/access.js';
import type { Part } from '../src/words/types.js';

const TARGET = { thread: 't', branch: 'b', run: 'r', message: 'm' };

/** Answers to be given in turn, and what was asked. */
let answers: (Response | Error)[];
let asked: { path: string; cursor: string | null; signal: AbortSignal | null | undefined }[];

beforeEach(() => {
  vi.useFakeTimers();
  answers = [];
  asked = [];
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    const { pathname } = new URL(url);
    const cursor = new Headers(init.headers).get('last-event-id');
    asked.push({ path: pathname.slice('/v1'.length), cursor, signal: init.signal });
    const answer = answers.shift() ?? new TypeError('fetch failed');
    if (answer instanceof Error) throw answer;
    return answer;
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

/** Events with ids that count up from `first`; the body ends after them, or stays open. */
function events(first: number, list: [string, object][], end: 'over' | 'open' = 'over'): Response {
  const encode = new TextEncoder();
  const text = list.map(
    ([name, data], i) => `id: c${first + i}\nevent: ${name}\ndata: ${JSON.stringify(data)}\n\n`,
  );
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      // Cut in the middle of a line, as a network would, after a comment.
      const bytes = encode.encode(`: hello\n\n${text.join('')}`);
      controller.enqueue(bytes.slice(0, 20));
      controller.enqueue(bytes.slice(20));
      if (end === 'over') controller.close();
    },
  });
  return new Response(body, { headers: { 'content-type': 'text/event-stream' } });
}

const text = (text: string, state?: 'streaming'): Part => ({
  type: 'text',
  text,
  ...(state ? { id: '0', state } : {}),
});
const window = (offset: number, part: Part): [string, object] => [
  'window',
  {
    messages: [{ id: 'm', parts: [part], status: 'streaming' }],
    runs: [{ id: 'r', status: 'live', offset }],
  },
];
const over: [string, object] = ['window', { messages: [], runs: [] }];
const delta = (from: number, delta: string): [string, object] => [
  'chunks',
  { run: 'r', from, to: from + 1, chunks: [{ type: 'text-delta', id: '0', delta }] },
];
const ended = (offset: number, whole: string, status = 'complete'): [string, object] => [
  'change',
  { change: { type: 'run-ended', run: 'r', offset }, message: { id: 'm', parts: [text(whole)], status } },
];
const whole = (content: string, status = 'complete') =>
  Response.json({ message: { id: 'm', parts: [text(content)], status } });

/** All chunks, and the texts they make. */
async function all(signal?: AbortSignal): Promise<{ text: string; end: UIMessageChunk | undefined }> {
  const reader = follow(new Access({ url: 'http://server' }), TARGET, signal).getReader();
  const chunks: UIMessageChunk[] = [];
  for (;;) {
    const { done, value } = await reader.read();
    if (done) break;
    chunks.push(value);
  }
  expect(chunks[0]).toEqual({ type: 'start', messageId: 'm' });
  const starts = chunks.filter(chunk => chunk.type === 'text-start').length;
  expect(starts).toBe(chunks.filter(chunk => chunk.type === 'text-end').length);
  return { text: chunks.map(chunk => ('delta' in chunk ? chunk.delta : '')).join(''), end: chunks.at(-1) };
}

async function read(signal?: AbortSignal) {
  const result = all(signal);
  result.catch(() => {});
  await vi.advanceTimersByTimeAsync(120_000);
  return result;
}

describe('follow', () => {
  it('goes on where the connection broke, and passes over what it has', async () => {
    answers = [
      events(1, [window(2, text('a', 'streaming')), delta(2, 'b')]),
      new TypeError('fetch failed'),
      events(3, [delta(2, 'b'), delta(3, 'c'), ended(4, 'abc')]),
    ];
    expect(await read()).toEqual({ text: 'abc', end: { type: 'finish' } });
    expect(asked.map(({ path, cursor }) => [path, cursor])).toEqual([
      ['/threads/t/events', null],
      ['/threads/t/events', 'c2'],
      ['/threads/t/events', 'c2'],
    ]);
  });

  it('begins with a window again where something is missing', async () => {
    answers = [
      events(1, [window(2, text('a', 'streaming')), delta(4, 'd')]),
      events(5, [window(5, text('abcd', 'streaming')), delta(5, 'e'), ended(6, 'abcde')]),
    ];
    expect(await read()).toEqual({ text: 'abcde', end: { type: 'finish' } });
    expect(asked.map(({ cursor }) => cursor)).toEqual([null, null]);
  });

  it('reads the message where the run ended meanwhile', async () => {
    answers = [
      events(1, [window(2, text('a', 'streaming'))]),
      events(9, [['reset', { reason: 'slow' }], over]),
      whole('abc'),
    ];
    expect(await read()).toEqual({ text: 'abc', end: { type: 'finish' } });
    expect(asked.at(-1)?.path).toBe('/threads/t/messages/m');

    answers = [events(1, [window(2, text('a', 'streaming')), ended(7, 'cut')]), whole('abc')];
    expect(await read()).toEqual({ text: 'abc', end: { type: 'finish' } });
  });

  it('says how the run ended', async () => {
    const live = window(2, text('a', 'streaming'));
    answers = [events(1, [live, ended(2, 'a', 'stopped')])];
    expect((await read()).end).toEqual({ type: 'abort' });
    answers = [events(1, [live, ended(2, 'a', 'interrupted')])];
    expect((await read()).end).toMatchObject({
      type: 'error',
      errorText: expect.stringContaining('cut short'),
    });
    answers = [
      events(1, [live, ended(2, 'a', 'failed')]),
      Response.json({ run: { error: 'no more tokens' } }),
    ];
    expect((await read()).end).toEqual({ type: 'error', errorText: 'no more tokens' });
    expect(asked.at(-1)?.path).toBe('/runs/r');
  });

  it('gives up on a refusal at once, and on silence after a while', async () => {
    answers = [Response.json({ code: 'thread_not_found', status: 404 }, { status: 404 })];
    await expect(read()).rejects.toMatchObject({ code: 'thread_not_found' });
    expect(asked.length).toBe(1);
    asked = [];
    await expect(read()).rejects.toThrow('fetch failed');
    expect(asked.length).toBe(9);
    answers = [events(1, [window(2, text('a', 'streaming'))], 'open'), events(2, [ended(2, 'a')])];
    expect((await read()).end).toEqual({ type: 'finish' });
  });

  it('ends with the reason of an abort, and lets the connection go', async () => {
    const reading = new AbortController();
    const live = events(1, [window(2, text('a', 'streaming'))]);
    answers = [live];
    const stream = follow(new Access({ url: 'http://server' }), TARGET, reading.signal);
    const reader = stream.getReader();
    for (const type of ['start', 'text-start', 'text-delta']) {
      expect((await reader.read()).value?.type).toBe(type);
    }
    const next = reader.read();
    reading.abort();
    await expect(Promise.all([next, vi.advanceTimersByTimeAsync(1_000)])).rejects.toMatchObject({
      name: 'AbortError',
    });
    expect(asked[0]?.signal?.aborted).toBe(true);
  });
});
