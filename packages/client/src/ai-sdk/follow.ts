//! One run's answer as a stream of chunks, read from the thread's events until the run ends. A connection that
//! breaks is taken up where it ended; where that cannot be done the reader is brought up to date by the message.

import type { Access } from '../transport/access.js';
import { ProblemError, problemOf } from '../words/problem.js';
import type { MessageStatus, Part } from '../words/types.js';
import { Progress } from './progress.js';
import { eventsOf } from './sse.js';
import type { UIMessageChunk } from './types.js';

/** What is followed. */
export interface Target {
  readonly thread: string;
  readonly branch: string;
  readonly run: string;
  readonly message: string;
}

interface MessageJson {
  readonly id: string;
  readonly parts: readonly Part[];
  readonly status: MessageStatus;
}

interface WindowJson {
  readonly messages: readonly MessageJson[];
  readonly runs: readonly { readonly id: string; readonly status: string; readonly offset: number }[];
}

interface ChunksJson {
  readonly run: string;
  readonly from: number;
  readonly to: number;
  readonly chunks: readonly UIMessageChunk[];
}

interface ChangeJson {
  readonly change: { readonly type: string; readonly run?: string; readonly offset?: number };
  readonly message?: MessageJson;
}

/** Connections in a row that bring nothing before the reader is told. */
const TRIES = 8;
/** Milliseconds: a wait between two of them is drawn from zero to a limit that doubles, up to the longest. */
const FIRST_LIMIT = 300;
const LONGEST_LIMIT = 10_000;

/** The answer from its beginning. Cancelling it, or the signal, ends the reading and not the run. */
export function follow(access: Access, target: Target, signal?: AbortSignal): ReadableStream<UIMessageChunk> {
  const reading = new AbortController();
  const abort = () => reading.abort(signal?.reason);
  if (signal?.aborted) abort();
  signal?.addEventListener('abort', abort, { once: true });
  const chunks = new Follower(access, target, reading.signal).chunks();
  return new ReadableStream({
    async pull(controller) {
      const { done, value } = await chunks.next();
      if (!done) return controller.enqueue(value);
      signal?.removeEventListener('abort', abort);
      controller.close();
    },
    cancel: () => {
      signal?.removeEventListener('abort', abort);
      reading.abort();
    },
  });
}

class Follower {
  readonly #access: Access;
  readonly #target: Target;
  readonly #signal: AbortSignal;
  readonly #progress = new Progress();
  /** Where the events go on; none when they have to begin with a window. */
  #cursor: string | undefined;
  /** Of the run's stream, as far as it was read. */
  #offset = -1;
  #ended = false;

  constructor(access: Access, target: Target, signal: AbortSignal) {
    this.#access = access;
    this.#target = target;
    this.#signal = signal;
  }

  async *chunks(): AsyncGenerator<UIMessageChunk, void> {
    yield { type: 'start', messageId: this.#target.message };
    for (let failures = 0; !this.#ended; failures++) {
      if (failures > 0) await this.#wait(failures);
      try {
        for await (const event of eventsOf(await this.#open())) {
          yield* this.#event(event.name, event.data);
          if (this.#ended) return;
          this.#cursor = event.id;
          failures = 0;
        }
      } catch (error) {
        this.#signal.throwIfAborted();
        if (error instanceof Gap) this.#cursor = undefined;
        else if (isRefusal(error) || failures >= TRIES) throw error;
      }
    }
  }

  async #open(): Promise<ReadableStream<Uint8Array>> {
    const { thread, branch } = this.#target;
    const query = new URLSearchParams({ branch, before: '1' });
    const headers: Record<string, string> = { accept: 'text/event-stream' };
    if (this.#cursor !== undefined) headers['last-event-id'] = this.#cursor;
    const path = `/threads/${encodeURIComponent(thread)}/events?${query}`;
    const response = await this.#access.fetch(path, { headers, signal: this.#signal });
    if (!response.ok || !response.body) throw await problemOf(response);
    return response.body;
  }

  async *#event(name: string, data: string): AsyncGenerator<UIMessageChunk, void> {
    switch (name) {
      case 'window':
        yield* this.#window(JSON.parse(data) as WindowJson);
        break;
      case 'chunks':
        yield* this.#chunks(JSON.parse(data) as ChunksJson);
        break;
      case 'change':
        yield* this.#change(JSON.parse(data) as ChangeJson);
        break;
      case 'problem':
        throw new ProblemError(JSON.parse(data) as ConstructorParameters<typeof ProblemError>[0]);
      // `reset` is followed by a window, and `advance` tells of other messages.
    }
  }

  async *#window(window: WindowJson): AsyncGenerator<UIMessageChunk, void> {
    const run = window.runs.find(run => run.id === this.#target.run && run.status !== 'ended');
    const message = window.messages.find(message => message.id === this.#target.message);
    if (!run || !message) {
      yield* this.#end(await this.#whole());
      return;
    }
    this.#offset = run.offset;
    yield* this.#progress.catchUp(message.parts);
  }

  async *#chunks({ run, from, to, chunks }: ChunksJson): AsyncGenerator<UIMessageChunk, void> {
    if (run !== this.#target.run || to <= this.#offset) return;
    // Several chunks may have been made one on the way, so a part of them cannot be told.
    if (from !== this.#offset) throw new Gap();
    this.#offset = to;
    for (const chunk of chunks) if (this.#progress.pass(chunk)) yield chunk;
  }

  async *#change({ change, message }: ChangeJson): AsyncGenerator<UIMessageChunk, void> {
    if (change.type === 'thread-deleted') {
      this.#ended = true;
      yield { type: 'error', errorText: 'The thread was deleted.' };
    }
    if (change.type !== 'run-ended' || change.run !== this.#target.run) return;
    yield* this.#end(message && change.offset === this.#offset ? message : await this.#whole());
  }

  async *#end(message: MessageJson): AsyncGenerator<UIMessageChunk, void> {
    this.#ended = true;
    yield* this.#progress.catchUp(message.parts);
    yield* this.#progress.close();
    yield await this.#verdict(message.status);
  }

  async #verdict(status: MessageStatus): Promise<UIMessageChunk> {
    switch (status) {
      case 'stopped':
        return { type: 'abort' };
      case 'interrupted':
        return { type: 'error', errorText: 'The answer was cut short: the server that wrote it is gone.' };
      case 'failed': {
        const path = `/runs/${encodeURIComponent(this.#target.run)}`;
        const { run } = await this.#read<{ run: { error?: string } }>(path);
        return { type: 'error', errorText: run.error ?? 'The provider failed.' };
      }
      case 'complete':
      case 'removed':
      case 'streaming':
        return { type: 'finish' };
    }
  }

  /** The message without cuts. */
  async #whole(): Promise<MessageJson> {
    const { thread, message } = this.#target;
    const path = `/threads/${encodeURIComponent(thread)}/messages/${encodeURIComponent(message)}`;
    const answer = await this.#read<{ message: MessageJson }>(path);
    // Between the events and this read the run cannot have begun again: it is written once.
    if (answer.message.status === 'streaming') throw new Gap();
    return answer.message;
  }

  #read<T>(path: string): Promise<T> {
    return this.#access.json('GET', path, undefined, this.#signal);
  }

  #wait(failures: number): Promise<void> {
    const limit = Math.min(LONGEST_LIMIT, FIRST_LIMIT * 2 ** (failures - 1));
    return new Promise((resolve, reject) => {
      const timer = setTimeout(resolve, Math.random() * limit);
      const aborted = () => {
        clearTimeout(timer);
        reject(this.#signal.reason as Error);
      };
      if (this.#signal.aborted) aborted();
      else this.#signal.addEventListener('abort', aborted, { once: true });
    });
  }
}

/** Something is missing between what was read and what comes: only a fresh window tells. */
class Gap extends Error {}

/** Asking again would bring the same answer. */
function isRefusal(error: unknown): boolean {
  return error instanceof ProblemError && error.status >= 400 && error.status < 500 && error.status !== 429;
}
