//! Answers of your own backend, written into Threadmill.
//!
//! Your server asks a model itself and pipes what it says into a run: every reader sees it as it comes, it is durable before
//! anybody does, a reload or a second device takes it up, and a stop from anywhere reaches you as an abort.

import { type MessagePart, readMessages, type StoredMessage, type Which } from './messages.js';
import { Run, type RunOutcome, type UIChunk } from './run.js';

export type { MessagePart, Run, RunOutcome, StoredMessage, UIChunk };

/** What a request of your backend carries to say on whose behalf it is made. */
type HeadersOf = Readonly<Record<string, string>>;

export interface ThreadmillOptions {
  /** Where the server is, such as `http://127.0.0.1:7430`. */
  readonly url: string;
  /** Headers of requests that begin runs, such as `{ authorization: 'Bearer …' }` of the user who asked. */
  readonly headers?: HeadersOf | (() => HeadersOf | Promise<HeadersOf>);
  /** Another `fetch`. */
  readonly fetch?: typeof fetch;
}

export interface StartOptions {
  /** The branch; the thread's default one if none is named. */
  readonly branch?: string;
  /** The answer to replace. */
  readonly regenerate?: string;
  /** An id of yours for the run: begun again under it, it is the same run. */
  readonly id?: string;
  /** An id of yours for the answer. It is taken once: made of the question's, it gives each question one answer. */
  readonly message?: string;
  /** Headers of this request alone. */
  readonly headers?: HeadersOf;
}

export interface MessagesOptions extends Which {
  /** Headers of this request alone. */
  readonly headers?: HeadersOf;
}

export interface Threadmill {
  /**
   * The newest messages of a branch, whole, the oldest of them first; for `convertToModelMessages` of the AI SDK, or any model.
   * Without the answer that is being written, and without what was removed. `messages<UIMessage>(…)` types them as the AI SDK does.
   *
   * @throws ThreadmillError if it is refused, such as `thread_not_found`.
   */
  messages<Message extends { readonly id: string } = StoredMessage>(
    thread: string,
    options?: MessagesOptions,
  ): Promise<Message[]>;
  /**
   * Begins a run that you write, after the thread's last message.
   *
   * @throws ThreadmillError if it is refused, such as `run_in_progress` while another answer is written.
   */
  startRun(thread: string, options?: StartOptions): Promise<Run>;
  /** A run that was begun elsewhere, by its id and its token. */
  openRun(run: string, token: string): Run;
}

/** The server refused something: `code` is its stable word. */
export class ThreadmillError extends Error {
  readonly code: string;
  readonly status: number;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.name = 'ThreadmillError';
    this.status = status;
    this.code = code;
  }
}

/**
 * @example
 * const threadmill = createThreadmill({ url: process.env.THREADMILL_URL, headers });
 * const run = await threadmill.startRun(threadId);
 * await run.write(streamText({ model, messages, abortSignal: run.signal }).toUIMessageStream());
 */
export function createThreadmill(options: ThreadmillOptions): Threadmill {
  const url = options.url.replace(/\/+$/, '');
  const request = options.fetch ?? fetch;
  const openRun = (run: string, token: string) =>
    new Run({ url: `${url}/v1/runs/${encodeURIComponent(run)}/chunks`, id: run, token, request, refusal });
  const call = async (path: string, headers: HeadersOf | undefined, body?: unknown): Promise<unknown> => {
    const common = typeof options.headers === 'function' ? await options.headers() : options.headers;
    const json = body === undefined ? undefined : { 'content-type': 'application/json' };
    const response = await request(`${url}/v1${path}`, {
      method: body === undefined ? 'GET' : 'POST',
      headers: { ...json, ...common, ...headers },
      ...(body !== undefined && { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw await refusal(response);
    return response.json();
  };
  return {
    openRun,
    async messages<Message>(thread: string, { headers, ...which }: MessagesOptions = {}) {
      return (await readMessages(path => call(path, headers), thread, which)) as Message[];
    },
    async startRun(thread, { headers, ...how } = {}) {
      const answer = await call(`/threads/${encodeURIComponent(thread)}/runs`, headers, {
        external: true,
        ...how,
      });
      const { run, writer } = answer as { run: { id: string }; writer: { token: string } };
      return openRun(run.id, writer.token);
    },
  };
}

async function refusal(response: Response): Promise<ThreadmillError> {
  const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
  return new ThreadmillError(
    response.status,
    problem.code ?? 'unknown',
    problem.detail ?? `The server answered ${response.status}.`,
  );
}
