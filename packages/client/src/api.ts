//! Writes and plain reads over HTTP. Every write carries an id minted here, so that a repeated request has
//! one effect: what got no answer is sent again.

import { mint } from './ids.js';
import { type ProblemError, problemOf, unreachable } from './problem.js';
import type { CreateThreadInput, EditInput, Part, RegenerateInput, SendInput, ServerInfo } from './types.js';

/** Tries of one write. */
const TRIES = 4;
/** Milliseconds: the first wait is at most this, each further one at most twice the one before. */
const WAIT = 300;

interface MessageJson {
  id: string;
  branch: string;
}

interface RunJson {
  id: string;
  branch: string;
}

export class Api {
  readonly #base: string;
  readonly #headers: Record<string, string>;

  constructor(base: string, user: string | undefined) {
    this.#base = base;
    this.#headers = user === undefined ? {} : { 'x-threadmill-user': user };
  }

  info(): Promise<ServerInfo> {
    return this.#json('GET', '/info');
  }

  thread(id: string): Promise<{ thread: { title: string; defaultBranch: string } }> {
    return this.#json('GET', `/threads/${encodeURIComponent(id)}`);
  }

  /** A window or a list page for the core; the answer may be an error. */
  read(path: string, accept: string): Promise<Response> {
    return fetch(this.#base + path, { headers: { ...this.#headers, accept } });
  }

  async createThread(input: CreateThreadInput): Promise<{ threadId: string }> {
    const threadId = mint();
    const message = input.message === undefined ? {} : { message: userMessage(input.message) };
    const title = input.title === undefined ? {} : { title: input.title };
    await this.#json('POST', '/threads', { id: threadId, ...title, ...message, ...runOf(input) });
    return { threadId };
  }

  async send(threadId: string, input: SendInput): Promise<{ messageId: string; runId?: string }> {
    const { branch, after } = input;
    const message = userMessage(input.parts ?? input.text ?? '');
    const place = { ...(branch === undefined ? {} : { branch }), ...(after === undefined ? {} : { after }) };
    const body = { ...message, ...place, ...runOf(input) };
    const answer = await this.#json<{ run?: RunJson }>('POST', `${threadPath(threadId)}/messages`, body);
    return { messageId: message.id, ...(answer.run ? { runId: answer.run.id } : {}) };
  }

  async edit(threadId: string, messageId: string, input: EditInput) {
    const { branch } = input;
    const parts = [{ type: 'text', text: input.text }];
    const body = { id: mint(), parts, ...(branch === undefined ? {} : { branch }), ...runOf(input) };
    const path = messagePath(threadId, messageId);
    const answer = await this.#json<{ message: MessageJson; forked: boolean; run?: RunJson }>(
      'PATCH',
      path,
      body,
    );
    const { message, forked, run } = answer;
    return { messageId: message.id, branch: message.branch, forked, ...(run ? { runId: run.id } : {}) };
  }

  async regenerate(threadId: string, messageId: string, input: RegenerateInput = {}) {
    const body = { id: mint(), message: mint(), regenerate: messageId, ...input };
    const path = `${threadPath(threadId)}/runs`;
    const { run, message } = await this.#json<{ run: RunJson; message: MessageJson }>('POST', path, body);
    return { runId: run.id, messageId: message.id, branch: run.branch };
  }

  async stop(runId: string): Promise<void> {
    await this.#json('POST', `/runs/${encodeURIComponent(runId)}/stop`);
  }

  async removeMessage(threadId: string, messageId: string): Promise<void> {
    await this.#json('DELETE', messagePath(threadId, messageId));
  }

  async patchThread(id: string, change: { title?: string; archived?: boolean }): Promise<void> {
    await this.#json('PATCH', threadPath(id), change);
  }

  async deleteThread(id: string): Promise<void> {
    await this.#json('DELETE', threadPath(id));
  }

  async wholePart(threadId: string, messageId: string, part: number): Promise<Part> {
    const path = `${messagePath(threadId, messageId)}/parts/${part}`;
    const answer = await this.#json<{ part: Part }>('GET', path);
    return answer.part;
  }

  async #json<T>(method: string, path: string, body?: unknown): Promise<T> {
    const headers: Record<string, string> = { ...this.#headers, accept: 'application/json' };
    if (method !== 'GET') headers['idempotency-key'] = mint();
    if (body !== undefined) headers['content-type'] = 'application/json';
    const init: RequestInit = { method, headers };
    if (body !== undefined) init.body = JSON.stringify(body);
    const response = await persist(() => fetch(this.#base + path, init));
    return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  }
}

/** Repeats what got no answer, or was told to come back. */
async function persist(attempt: () => Promise<Response>): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const answer = await attempt().catch(() => undefined);
    if (answer?.ok) return answer;
    const problem: ProblemError = answer ? await problemOf(answer) : unreachable();
    const passes = problem.status === 0 || problem.status === 503;
    if (!passes || problem.code === 'read_only' || tries === TRIES) throw problem;
    const wait = Math.random() * WAIT * 2 ** (tries - 1) + (problem.retryAfterMs ?? 0);
    await new Promise(resolve => setTimeout(resolve, wait));
  }
}

function threadPath(id: string): string {
  return `/threads/${encodeURIComponent(id)}`;
}

function messagePath(threadId: string, messageId: string): string {
  return `${threadPath(threadId)}/messages/${encodeURIComponent(messageId)}`;
}

function userMessage(content: string | Part[]): { id: string; role: 'user'; parts: Part[] } {
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  return { id: mint(), role: 'user', parts };
}

function runOf(input: { run?: boolean; provider?: string }): { run?: object } {
  if (!input.run) return {};
  const provider = input.provider === undefined ? {} : { provider: input.provider };
  return { run: { id: mint(), message: mint(), ...provider } };
}
