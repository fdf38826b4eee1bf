//! The HTTP API: plain reads, and writes one try at a time.

import { ProblemError, problemOf, unreachable } from '../words/problem.js';
import type { FeedbackInput, Message, Part, ServerInfo } from '../words/types.js';
import { type Access, bodyOf, jsonRequest } from './access.js';
import { messagePath, threadPath, type Write } from './writes.js';

/** What became of one try: the answer, or the problem, with status 0 if there was none. */
export type Tried = { readonly answer: unknown } | { readonly problem: ProblemError };

export class Api {
  readonly #access: Access;

  constructor(access: Access) {
    this.#access = access;
  }

  info(): Promise<ServerInfo> {
    return this.#access.json('GET', '/info');
  }

  thread(id: string): Promise<{ thread: { title: string; defaultBranch: string } }> {
    return this.#access.json('GET', threadPath(id));
  }

  async whole(threadId: string, messageId: string): Promise<Message> {
    type Answer = { message: Omit<Message, 'createdAt'> & { createdAt: string } };
    const { message } = await this.#access.json<Answer>('GET', messagePath(threadId, messageId));
    return { ...message, createdAt: Date.parse(message.createdAt) };
  }

  async wholePart(threadId: string, messageId: string, part: number): Promise<Part> {
    const path = `${messagePath(threadId, messageId)}/parts/${part}`;
    const answer = await this.#access.json<{ part: Part }>('GET', path);
    return answer.part;
  }

  feedback(input: FeedbackInput, thread?: string, message?: string): Promise<void> {
    return this.#access.json('POST', '/feedback', { ...input, thread, message });
  }

  /** One try of a write, for who keeps it until there is an answer. */
  async try({ method, path, body, key }: Write): Promise<Tried> {
    try {
      const response = await this.#access.fetch(path, jsonRequest(method, body, key));
      return response.ok ? { answer: await bodyOf(response) } : { problem: await problemOf(response) };
    } catch (error) {
      return { problem: error instanceof ProblemError ? error : unreachable() };
    }
  }

  /** A write without an outbox: a few tries, and the answer. */
  write({ method, path, body, key }: Write): Promise<unknown> {
    return this.#access.json(method, path, body, undefined, key);
  }
}
