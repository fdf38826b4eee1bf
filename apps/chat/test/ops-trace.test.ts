//! What the ops page does with a trace and a token that are not as they should be.

import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { ask } from '../src/ops/data/ask';
import { storeToken } from '../src/ops/data/token';
import { Frames, follow } from '../src/ops/data/trace';

let cancelled = false;

/** A node that sends these and then nothing, and leaves the trace open. */
function answers(...sent: string[]) {
  const body = new ReadableStream<Uint8Array>({
    start: control => {
      for (const text of sent) control.enqueue(new TextEncoder().encode(text));
    },
    cancel: () => {
      cancelled = true;
    },
  });
  vi.stubGlobal('fetch', async () => new Response(body));
}

const followed = () => follow(new URLSearchParams(), new AbortController().signal, () => {});

beforeEach(() => {
  cancelled = false;
});

afterEach(() => {
  storeToken(undefined);
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

test('a trace that was ended is left', async () => {
  answers('event: end\ndata: {"why":"Ten minutes are over."}\n\n');
  expect(await followed()).toBe('Ten minutes are over.');
  await vi.waitFor(() => expect(cancelled).toBe(true));
});

test('a trace without a sign for 40 seconds is given up', async () => {
  vi.useFakeTimers();
  answers(': alive\n\n');
  const lost = expect(followed()).rejects.toThrow('Nothing came of the trace for 40 seconds.');
  await vi.advanceTimersByTimeAsync(40_000);
  await lost;
});

test('an event has bounded data, in however many lines it comes', () => {
  const frames = new Frames();
  const line = `data: ${'x'.repeat(200_000)}\n`;
  expect(() => {
    for (let at = 0; at < 6; at += 1) frames.push(line);
  }).toThrow('has no end');
});

test.each(['tökén', 'a\nb', '“quoted”'])('a token that no request can carry is refused: %j', async token => {
  storeToken(token);
  await expect(ask('summary', () => 0)).rejects.toMatchObject({ kind: 'token', code: 'token_letters' });
});
