//! The Threadmill server, on behalf of whoever asks: its stream of chunks, and its messages.

import { createParser } from 'eventsource-parser';
import type { StoredMessage } from './snapshot.js';
import type { Chunk } from './translation.js';

/** Of one event of a stream; a message has less. */
const LONGEST_EVENT = 4 << 20;
/** How many messages a client that comes back is told of, and how many bytes of long parts; of older ones it has the beginning. */
const MESSAGES = 200;
const MOST_BYTES = 8 << 20;

/** The server refused something: `code` is its stable word. */
export class Refusal extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.status = status;
    this.code = code;
  }
}

export interface Upstream {
  readonly url: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly request: typeof fetch;
  readonly signal?: AbortSignal;
}

/** Sends a message and begins its answer. */
export function send(upstream: Upstream, body: object): Promise<ReadableStream<Uint8Array>> {
  return stream(upstream, '/api/chat', {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  }).then(answer => answer ?? Promise.reject(new Refusal(502, 'unavailable', 'There is no answer.')));
}

/** The answer that is being written, from its beginning; nothing if none is. */
export function follow(upstream: Upstream, thread: string): Promise<ReadableStream<Uint8Array> | undefined> {
  return stream(upstream, `/api/chat/${encodeURIComponent(thread)}/stream`, {});
}

/** Stops the answer that is being written. */
export async function stop(upstream: Upstream, thread: string): Promise<unknown> {
  const init = { method: 'POST', headers: { 'content-type': 'application/json' }, body: '{}' };
  const response = await ask(upstream, `/api/chat/${encodeURIComponent(thread)}/stop`, init);
  return response.json();
}

/** The newest messages, each whole. */
export async function messages(upstream: Upstream, thread: string): Promise<StoredMessage[]> {
  const base = `/v1/threads/${encodeURIComponent(thread)}/messages`;
  const window = (await (await ask(upstream, `${base}?before=${MESSAGES}`, {})).json()) as {
    messages: StoredMessage[];
  };
  const told = window.messages.filter(({ status }) => status !== 'removed');
  const found: StoredMessage[] = [];
  let left = MOST_BYTES;
  for (const message of told.toReversed()) {
    const cut = bytesCut(message);
    left -= cut;
    found.push(cut > 0 && left >= 0 ? await whole(upstream, base, message.id) : message);
  }
  return found.reverse();
}

/** The bytes of long parts, of which a window shows only the beginning. */
function bytesCut({ parts }: StoredMessage): number {
  const previews = parts.map(({ preview }) => (preview as { bytes?: number } | undefined)?.bytes ?? 0);
  return previews.reduce((sum, bytes) => sum + bytes, 0);
}

async function whole(upstream: Upstream, base: string, id: string): Promise<StoredMessage> {
  const response = await ask(upstream, `${base}/${encodeURIComponent(id)}`, {});
  return ((await response.json()) as { message: StoredMessage }).message;
}

async function stream(upstream: Upstream, path: string, init: RequestInit) {
  const response = await ask(upstream, path, init);
  return response.status === 204 ? undefined : (response.body ?? undefined);
}

async function ask(upstream: Upstream, path: string, init: RequestInit): Promise<Response> {
  const headers = { ...(init.headers as Record<string, string>), ...upstream.headers };
  const { signal } = upstream;
  const response = await upstream.request(upstream.url + path, {
    ...init,
    headers,
    ...(signal && { signal }),
  });
  if (response.ok) return response;
  const text = (await response.text()).slice(0, 2_000);
  const problem = problemOf(text);
  const code = response.headers.get('threadmill-code') ?? problem.code ?? 'unknown';
  throw new Refusal(response.status, code, problem.detail ?? text);
}

function problemOf(text: string): { code?: string; detail?: string } {
  try {
    return (JSON.parse(text) ?? {}) as { code?: string; detail?: string };
  } catch {
    return {};
  }
}

/** The chunks of a stream as they come; `undefined` where the server only says that it is there. */
export async function* chunksOf(body: ReadableStream<Uint8Array>): AsyncGenerator<Chunk | undefined> {
  let waiting: (Chunk | undefined)[] = [];
  let tooLong: Error | undefined;
  const parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ data }) => {
      const chunk = chunkOf(data);
      if (chunk) waiting.push(chunk);
    },
    onComment: () => waiting.push(undefined),
    onError: error => {
      if (error.type === 'max-buffer-size-exceeded') tooLong = error;
    },
  });
  const decoder = new TextDecoder();
  const reader = body.getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      parser.feed(decoder.decode(value, { stream: true }));
      const ready = waiting;
      waiting = [];
      yield* ready;
      if (tooLong) throw tooLong;
    }
  } finally {
    void reader.cancel().catch(() => {});
  }
}

function chunkOf(data: string): Chunk | undefined {
  if (data === '[DONE]') return undefined;
  try {
    const value: unknown = JSON.parse(data);
    return typeof value === 'object' && value !== null && 'type' in value && typeof value.type === 'string'
      ? (value as Chunk)
      : undefined;
  } catch {
    return undefined;
  }
}
