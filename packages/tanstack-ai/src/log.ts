//! A stream of JSON messages on the server: appended to, read whole, followed. The protocol is Durable Streams.

import { randomUUID } from 'node:crypto';
import { createParser } from 'eventsource-parser';
import { pauseAfter, type Server, ServerError } from './server.js';

const JSON_TYPE = { 'content-type': 'application/json' };
/** Of one request; the server takes 2 MiB. */
const LONGEST_APPEND = 1 << 20;
/** Of one event; an append is one at the most. */
const LONGEST_EVENT = 8 << 20;

/** A message, and where one reads from to have what comes after it: an offset of the server's, and how many to leave out. */
export interface Entry<T> {
  readonly message: T;
  readonly after: Place;
}

export interface Place {
  readonly offset: string;
  readonly skip: number;
}

export const BEGINNING: Place = { offset: '-1', skip: 0 };

export interface LogOptions {
  /** Seconds without a read or a write after which it is gone; for ever if there are none. */
  readonly ttl?: number | undefined;
  /** Fences writers with a smaller one. Without it nobody is fenced. */
  readonly epoch?: number | undefined;
}

export class Log<T> {
  readonly #server: Server;
  readonly #path: string;
  readonly #options: LogOptions;
  readonly #producer: string;
  #seq = 0;
  #tail: Promise<string> | undefined;
  #failed: Error | undefined;
  /** Appends go one after the other. */
  #queue: Promise<unknown> = Promise.resolve();

  constructor(server: Server, path: string, options: LogOptions = {}) {
    this.#server = server;
    this.#path = `/stream/${path}`;
    this.#options = options;
    this.#producer = options.epoch === undefined ? randomUUID() : 'driver';
  }

  /** Appends messages, each once, durable when this resolves; gives the place after each. */
  append(messages: readonly T[]): Promise<Place[]> {
    const appended = this.#queue.then(() => this.#append(messages));
    this.#queue = appended.catch(() => {});
    return appended;
  }

  async #append(messages: readonly T[]): Promise<Place[]> {
    // Nobody knows what became of an append that failed: under its number nothing else may be said.
    if (this.#failed) throw this.#failed;
    const places: Place[] = [];
    for (const piece of pieces(messages.map(message => JSON.stringify(message)))) {
      const offset = await this.#created();
      const response = await this.#say(`[${piece.join(',')}]`);
      this.#seq += 1;
      this.#tail = Promise.resolve(response.headers.get('stream-next-offset') ?? offset);
      places.push(...piece.map((_, at) => ({ offset, skip: at + 1 })));
    }
    return places;
  }

  async #say(body: string): Promise<Response> {
    const headers = {
      ...JSON_TYPE,
      'producer-id': this.#producer,
      'producer-epoch': String(this.#options.epoch ?? 0),
      'producer-seq': String(this.#seq),
    };
    try {
      return await this.#server.repeat(this.#path, { method: 'POST', headers, body });
    } catch (error) {
      this.#failed = error instanceof Error ? error : new Error(String(error));
      throw this.#failed;
    }
  }

  /** Nothing is appended any more; who follows is told. */
  close(): Promise<void> {
    const closed = this.#queue.then(async () => {
      await this.#created();
      await this.#server.repeat(this.#path, { method: 'POST', headers: { 'stream-closed': 'true' } });
    });
    this.#queue = closed.catch(() => {});
    return closed;
  }

  /** Makes the stream if there is none. Resolves to its end. */
  #created(): Promise<string> {
    this.#tail ??= this.#create().catch((error: unknown) => {
      this.#tail = undefined;
      throw error;
    });
    return this.#tail;
  }

  async #create(): Promise<string> {
    const { ttl } = this.#options;
    const headers = { ...JSON_TYPE, ...(ttl !== undefined && { 'stream-ttl': String(ttl) }) };
    // One that is closed, or was made with another time to live, is there all the same.
    const made = await this.#server.repeat(this.#path, { method: 'PUT', headers }, [409]);
    const offset = made.headers.get('stream-next-offset');
    return offset ?? (await this.end()) ?? '-1';
  }

  /** Where it ends now; nothing if there is no such stream. */
  async end(): Promise<string | undefined> {
    const response = await this.#server.repeat(this.#path, { method: 'HEAD' }, [404, 410]);
    return response.ok ? (response.headers.get('stream-next-offset') ?? undefined) : undefined;
  }

  async delete(): Promise<void> {
    await this.#server.repeat(this.#path, { method: 'DELETE' }, [404, 410]);
    this.#tail = undefined;
  }

  /** All there is now; nothing of a stream that there is not. */
  async all(): Promise<Entry<T>[]> {
    const entries: Entry<T>[] = [];
    for (let offset = BEGINNING.offset; ; ) {
      const response = await this.#server.repeat(`${this.#path}?offset=${offset}`, {}, [404, 410]);
      if (!response.ok) return [];
      const messages = (await response.json()) as T[];
      const from = offset;
      entries.push(...messages.map((message, at) => ({ message, after: { offset: from, skip: at + 1 } })));
      const next = response.headers.get('stream-next-offset');
      if (response.headers.get('stream-up-to-date') === 'true' || !next || next === offset) return entries;
      offset = next;
    }
  }

  /** What comes after a place, until the stream is closed or nobody wants more. */
  async *follow(from: Place, signal?: AbortSignal): AsyncGenerator<Entry<T>> {
    let { offset, skip } = from;
    /** Connections in a row on which nothing came. */
    let silent = 0;
    for (let isClosed = false; !isClosed && !signal?.aborted; ) {
      /** Of the messages after `offset`, how many came. */
      let came = 0;
      let heard = false;
      try {
        const path = `${this.#path}?offset=${offset}&live=sse`;
        const response = await this.#server.repeat(path, signal ? { signal } : {});
        for await (const event of eventsOf(response)) {
          if (signal?.aborted) return;
          heard = true;
          if (!Array.isArray(event)) {
            isClosed = event.streamClosed === true;
            if (event.streamNextOffset !== offset) [offset, skip, came] = [event.streamNextOffset, 0, 0];
            continue;
          }
          for (const message of event as T[]) {
            came += 1;
            if (came > skip) yield { message, after: { offset, skip: came } };
          }
        }
      } catch (error) {
        if (signal?.aborted) return;
        if (error instanceof ServerError) throw error;
        // The connection broke: what was not told yet comes with the next one.
      }
      skip = Math.max(skip, came);
      silent = heard ? 0 : silent + 1;
      if (silent > 0) await pauseAfter(silent);
    }
  }
}

interface Control {
  readonly streamNextOffset: string;
  readonly streamClosed?: boolean;
}

/** Batches of messages, and after each the place behind it. */
async function* eventsOf(response: Response): AsyncGenerator<unknown[] | Control> {
  let ready: (unknown[] | Control)[] = [];
  let isTooLong = false;
  const parser = createParser({
    maxBufferSize: LONGEST_EVENT,
    onEvent: ({ event, data }) => {
      if (event === 'data' || event === 'control') ready.push(JSON.parse(data) as unknown[] | Control);
    },
    onError: ({ type }) => {
      isTooLong ||= type === 'max-buffer-size-exceeded';
    },
  });
  const reader = response.body?.getReader();
  const decoder = new TextDecoder();
  try {
    for (;;) {
      const read = await reader?.read();
      if (!read || read.done) return;
      parser.feed(decoder.decode(read.value, { stream: true }));
      const events = ready;
      ready = [];
      yield* events;
      if (isTooLong) throw new ServerError(502, 'frame_too_large', 'An event of the stream is too long.');
    }
  } finally {
    void reader?.cancel().catch(() => {});
  }
}

/** Messages in requests of a bounded size. */
function pieces(messages: readonly string[]): string[][] {
  const all: string[][] = [];
  let bytes = LONGEST_APPEND;
  for (const message of messages) {
    const length = Buffer.byteLength(message);
    if (bytes + length > LONGEST_APPEND) {
      all.push([]);
      bytes = 0;
    }
    all.at(-1)?.push(message);
    bytes += length;
  }
  return all;
}
