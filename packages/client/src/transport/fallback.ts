//! Connections without a socket: all frames in one request, the answer as a stream of events or as soon as there
//! is something. Loaded when sockets do not get through.

import type { Access } from './access.js';
import type { LinkEvents, Requests } from './link.js';

const SEQUENCE = 'application/cbor-seq';

/** `events`: one request that is answered as long as it stands; `poll`: many. */
export class FramesByRequest implements Requests {
  readonly #access: Access;
  readonly #events: LinkEvents;
  readonly #transport: 'events' | 'poll';
  readonly #signal: AbortSignal;
  #path: string;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  /** The request under way: what is said now has to wait for another. */
  #left: AbortController | undefined;

  constructor(access: Access, events: LinkEvents, transport: 'events' | 'poll', signal: AbortSignal) {
    this.#access = access;
    this.#events = events;
    this.#transport = transport;
    this.#signal = signal;
    // The first answer says whether this gets through at all: it is not waited for.
    this.#path = transport === 'poll' ? '/sync?wait=0' : '/sync';
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    this.#waiting.push(frame);
  }

  flush(): void {
    if (this.#waiting.length === 0) return;
    if (this.#left) this.#again();
    else void this.#request();
  }

  /** Another request says everything, from where the views are now. */
  #again(): void {
    this.#left?.abort();
    this.#left = undefined;
    this.#waiting = [];
    this.#events.opened();
  }

  async #request(): Promise<void> {
    const left = new AbortController();
    const frames = this.#waiting;
    this.#waiting = [];
    this.#left = left;
    const signal = AbortSignal.any([left.signal, this.#signal]);
    const goesOn = await this.#run(frames, signal).catch(() => false);
    if (signal.aborted) return;
    if (goesOn) this.#again();
    else this.#events.closed();
  }

  /** Sends frames and hands on what comes back. True if another request is to follow at once. */
  async #run(frames: readonly Uint8Array<ArrayBuffer>[], signal: AbortSignal): Promise<boolean> {
    const streams = this.#transport === 'events';
    const response = await this.#access.fetch(this.#path, {
      method: 'POST',
      headers: { 'content-type': SEQUENCE, accept: streams ? 'text/event-stream' : SEQUENCE },
      body: new Blob([...frames]),
      signal,
      cache: 'no-store',
    });
    this.#path = '/sync';
    if (!response.ok || !response.body) return false;
    if (streams) {
      await readEvents(response.body, this.#events);
      return false;
    }
    for (const frame of split(new Uint8Array(await response.arrayBuffer()))) {
      if (!signal.aborted) this.#events.received(frame);
    }
    return true;
  }
}

async function readEvents(body: ReadableStream<Uint8Array>, events: LinkEvents): Promise<void> {
  const reader = body.pipeThrough(new TextDecoderStream() as ReadableWritablePair<string, Uint8Array>);
  let line = '';
  // Not `for await`: Safari's streams are no async iterables.
  const lines = reader.getReader();
  for (;;) {
    const { value, done } = await lines.read();
    if (done) return;
    line += value;
    for (let end = line.indexOf('\n'); end >= 0; end = line.indexOf('\n')) {
      const text = line.slice(0, end).trimEnd();
      line = line.slice(end + 1);
      if (text.startsWith('data:')) events.received(fromBase64(text.slice(5).trim()));
    }
  }
}

function fromBase64(text: string): Uint8Array<ArrayBuffer> {
  return Uint8Array.from(atob(text), letter => letter.charCodeAt(0));
}

/** The items of a CBOR sequence (RFC 8742) of definite length, each as its bytes. */
export function split(bytes: Uint8Array<ArrayBuffer>): Uint8Array<ArrayBuffer>[] {
  const items: Uint8Array<ArrayBuffer>[] = [];
  for (let at = 0; at < bytes.length; ) {
    const end = skip(bytes, at);
    items.push(bytes.slice(at, end));
    at = end;
  }
  return items;
}

/** Where the item that begins at `at` ends. */
function skip(bytes: Uint8Array, at: number): number {
  const first = bytes[at] ?? 0;
  const [major, info] = [first >> 5, first & 31];
  let next = at + 1;
  let argument = info;
  if (info > 27) throw new Error('an item without a length');
  if (info > 23) {
    argument = 0;
    for (let left = 1 << (info - 24); left > 0; left--) argument = argument * 256 + (bytes[next++] ?? 0);
  }
  if (major === 2 || major === 3) next += argument;
  const inner = major === 4 ? argument : major === 5 ? 2 * argument : major === 6 ? 1 : 0;
  for (let left = inner; left > 0; left--) next = skip(bytes, next);
  if (next > bytes.length) throw new Error('an item that is cut off');
  return next;
}
