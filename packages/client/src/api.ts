//! The HTTP API: plain reads, and writes one try at a time.

import type { Access } from './access.js';
import { type Problem, type ProblemError, problemOf, unreachable } from './problem.js';
import type { Part, ServerInfo } from './types.js';
import { messagePath, threadPath, type Write } from './writes.js';

/** Tries of one request. */
const TRIES = 4;
/** Milliseconds: the first wait is at most this, each further one at most twice the one before. */
const WAIT = 300;

/** What became of one try: the answer, or the problem, with status 0 if there was none. */
export type Tried = { readonly answer: unknown } | { readonly problem: ProblemError };

export class Api {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  info(): Promise<ServerInfo> {
    return this.get('/info');
  }

  thread(id: string): Promise<{ thread: { title: string; defaultBranch: string } }> {
    return this.get(threadPath(id));
  }

  async wholePart(threadId: string, messageId: string, part: number): Promise<Part> {
    return (await this.get<{ part: Part }>(`${messagePath(threadId, messageId)}/parts/${part}`)).part;
  }

  /** The answer as it comes; it may be an error. */
  read(path: string, accept: string): Promise<Response> {
    return this.#access.fetch(path, { headers: { accept } });
  }

  /** Reads JSON; tries again what may pass. */
  async get<T>(path: string): Promise<T> {
    return (await persist(() => answerOf(this.read(path, 'application/json')))) as T;
  }

  /** One try of a write. */
  try(write: Write): Promise<Tried> {
    const headers: Record<string, string> = { accept: 'application/json', 'idempotency-key': write.key };
    if (write.body !== undefined) headers['content-type'] = 'application/json';
    const init: RequestInit = { method: write.method, headers };
    if (write.body !== undefined) init.body = JSON.stringify(write.body);
    return answerOf(this.#access.fetch(write.path, init));
  }

  /** A write without an outbox: a few tries, and the answer. */
  write(write: Write): Promise<unknown> {
    return persist(() => this.try(write));
  }
}

async function answerOf(request: Promise<Response>): Promise<Tried> {
  try {
    const response = await request;
    if (!response.ok) return { problem: await problemOf(response) };
    return { answer: response.status === 204 ? undefined : await response.json() };
  } catch {
    return { problem: unreachable() };
  }
}

/** Repeats what got no answer, or was told to come back. */
async function persist(attempt: () => Promise<Tried>): Promise<unknown> {
  for (let tries = 1; ; tries++) {
    const tried = await attempt();
    if ('answer' in tried) return tried.answer;
    const { problem } = tried;
    if (!passes(problem) || tries === TRIES) throw problem;
    const wait = Math.random() * WAIT * 2 ** (tries - 1) + (problem.retryAfterMs ?? 0);
    await new Promise(resolve => setTimeout(resolve, wait));
  }
}

function passes({ status, code }: Problem): boolean {
  return (status === 0 || status === 503) && code !== 'read_only';
}
