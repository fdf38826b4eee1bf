//! Answers of your own backend, written into Threadmill.
//!
//! Your server asks a model itself and pipes what it says into a run: every reader sees it as it comes, it is durable before
//! anybody does, a reload or a second device takes it up, and a stop from anywhere reaches you as an abort.

import { Run, type RunOutcome, type UIChunk } from './run.js';

export type { Run, RunOutcome, UIChunk };

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
  /** Headers of this request alone. */
  readonly headers?: HeadersOf;
}

export interface Threadmill {
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
  return {
    openRun,
    async startRun(thread, { headers, ...how } = {}) {
      const common = typeof options.headers === 'function' ? await options.headers() : options.headers;
      const response = await request(`${url}/v1/threads/${encodeURIComponent(thread)}/runs`, {
        method: 'POST',
        headers: { 'content-type': 'application/json', ...common, ...headers },
        body: JSON.stringify({ external: true, ...how }),
      });
      if (!response.ok) throw await refusal(response);
      const { run, writer } = (await response.json()) as { run: { id: string }; writer: { token: string } };
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
