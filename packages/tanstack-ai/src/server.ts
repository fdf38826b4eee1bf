//! Requests to a Threadmill server, on behalf of whoever asks.

import { createHash } from 'node:crypto';

type Headers = Readonly<Record<string, string>>;

export interface ThreadmillOptions {
  /** Where the server is, such as `http://127.0.0.1:7430`. */
  readonly url: string;
  /** Headers of every request, such as `{ authorization: 'Bearer …' }` of the user who asked: what is kept is theirs. */
  readonly headers?: Headers | (() => Headers | Promise<Headers>);
  /** Another `fetch`. */
  readonly fetch?: typeof fetch;
}

/** The server refused something: `code` is its stable word. */
export class ServerError extends Error {
  readonly status: number;
  readonly code: string;

  constructor(status: number, code: string, detail: string) {
    super(detail);
    this.name = 'ServerError';
    this.status = status;
    this.code = code;
  }
}

/** Attempts of a request that may be repeated. */
const TRIES = 6;
/** Milliseconds: a wait between two of them is drawn from zero to a limit that doubles, up to the longest. */
const FIRST_LIMIT = 100;
const LONGEST_LIMIT = 3_000;

export class Server {
  readonly #options: ThreadmillOptions;
  readonly #url: string;

  constructor(options: ThreadmillOptions) {
    this.#options = options;
    this.#url = options.url.replace(/\/+$/, '');
  }

  /** One request, below `/v1`. What is refused is a `ServerError`, unless its status is among those asked for. */
  async ask(path: string, init: RequestInit = {}, fine: readonly number[] = []): Promise<Response> {
    const { headers } = this.#options;
    const own = typeof headers === 'function' ? await headers() : headers;
    const request = this.#options.fetch ?? fetch;
    const sent = { ...init, headers: { ...(init.headers as Headers), ...own } };
    const response = await request(`${this.#url}/v1${path}`, sent);
    if (response.ok || fine.includes(response.status)) return response;
    const problem = (await response.json().catch(() => ({}))) as { code?: string; detail?: string };
    const detail = problem.detail ?? `The server answered ${response.status}.`;
    throw new ServerError(response.status, problem.code ?? 'unknown', detail);
  }

  /** A request that has one effect however often it is sent; sent again while that may help. */
  async repeat(path: string, init: RequestInit = {}, fine: readonly number[] = []): Promise<Response> {
    for (let failures = 1; ; failures++) {
      try {
        return await this.ask(path, init, fine);
      } catch (error) {
        const passes = error instanceof ServerError ? error.status === 429 || error.status >= 500 : true;
        if (!passes || failures >= TRIES || init.signal?.aborted) throw error;
      }
      await pauseAfter(failures);
    }
  }

  /** A request with a JSON body that has one effect, and its answer. */
  async json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers = { 'content-type': 'application/json' };
    const sent = body === undefined ? {} : { headers, body: JSON.stringify(body) };
    const response = await this.repeat(path, { method, ...sent });
    return (response.status === 204 ? undefined : await response.json()) as T;
  }
}

/** Waits between two attempts, longer after each failure. */
export function pauseAfter(failures: number): Promise<void> {
  return pause(Math.random() * Math.min(LONGEST_LIMIT, FIRST_LIMIT * 2 ** (failures - 1)));
}

export function pause(milliseconds: number): Promise<void> {
  return new Promise(resolve => setTimeout(resolve, milliseconds));
}

const PLAIN = /^(?!\.+$)[A-Za-z0-9._-]{1,100}$/;

/** An id of the app's as a part of a path or as an id of the server's: itself, or a hash that is always the same. */
export function idOf(id: string): string {
  return PLAIN.test(id) ? id : `x~${createHash('sha256').update(id).digest('hex')}`;
}
