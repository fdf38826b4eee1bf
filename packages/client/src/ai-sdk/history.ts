//! The history of a thread as the messages that `useChat` begins with.

import { inStep } from '../page/promises.js';
import { type Access, accessOf } from '../transport/access.js';
import { previewBytes } from '../words/preview-marks.js';
import { ProblemError } from '../words/problem.js';
import type { Client, MessageStatus, Part } from '../words/types.js';
import type { ChatMessage } from './types.js';

/** Messages of a page: as many as the server gives at once. */
const PAGE = 200;
/** Messages that are loaded if nothing else is asked for. */
const LIMIT = 500;
/** Messages that are read in full at a time: as many requests as browsers make of one server without HTTP/2. */
const AT_A_TIME = 6;

export interface HistoryOptions {
  /** The branch; the thread's default one if none is named. */
  readonly branch?: string;
  /** The newest so many are loaded: 500 if it is left out. `useChat` holds and draws all of them. */
  readonly limit?: number;
  readonly signal?: AbortSignal;
}

interface MessageJson {
  readonly id: string;
  readonly role: ChatMessage['role'];
  readonly parts: readonly Part[];
  readonly metadata?: unknown;
  readonly status: MessageStatus;
}

interface WindowJson {
  readonly branch: string;
  readonly messages: readonly MessageJson[];
  readonly firstDepth: number;
  readonly hasOlder: boolean;
}

/**
 * The messages of a thread, the oldest first and each whole, for `useChat({ messages })`. Empty if there is no such
 * thread yet. An answer that is being written is left out: `resume: true` brings it, from its beginning.
 *
 * @example
 * const history = await loadMessages<UIMessage>(client, threadId);
 */
export async function loadMessages<M extends ChatMessage = ChatMessage>(
  client: Client,
  threadId: string,
  options: HistoryOptions = {},
): Promise<M[]> {
  const access = accessOf(client);
  const pages: MessageJson[][] = [];
  let [anchor, branch, left] = ['tip', options.branch, options.limit ?? LIMIT];
  while (left > 0) {
    const window = await read(
      access,
      threadId,
      { anchor, before: Math.min(left, PAGE), branch },
      options.signal,
    );
    if (!window) break;
    const shown = window.messages.filter(({ status }) => status !== 'removed' && status !== 'streaming');
    pages.unshift(shown.slice(-left));
    left -= shown.length;
    // The tip may move to another branch while the rest is read.
    [anchor, branch] = [`depth:${window.firstDepth}`, window.branch];
    if (!window.hasOlder) break;
  }
  const messages = await inStep(pages.flat(), AT_A_TIME, message =>
    whole(access, threadId, message, options.signal),
  );
  // The server keeps parts as the SDK made them: which kinds of them there are is the app's to say.
  return messages as M[];
}

async function read(
  access: Access,
  threadId: string,
  { anchor, before, branch }: { anchor: string; before: number; branch: string | undefined },
  signal: AbortSignal | undefined,
): Promise<WindowJson | undefined> {
  const query = new URLSearchParams({ anchor, before: String(before) });
  if (branch !== undefined) query.set('branch', branch);
  const path = `/threads/${encodeURIComponent(threadId)}/messages?${query}`;
  try {
    return await access.json<WindowJson>('GET', path, undefined, signal);
  } catch (error) {
    if (error instanceof ProblemError && error.code === 'thread_not_found') return undefined;
    throw error;
  }
}

/** The message, with what a window cuts short read in full. */
async function whole(
  access: Access,
  threadId: string,
  message: MessageJson,
  signal: AbortSignal | undefined,
): Promise<ChatMessage> {
  let { parts } = message;
  if (parts.some(part => previewBytes(part) !== undefined)) {
    const path = `/threads/${encodeURIComponent(threadId)}/messages/${encodeURIComponent(message.id)}`;
    const answer = await access.json<{ message: MessageJson }>('GET', path, undefined, signal);
    parts = answer.message.parts;
  }
  const { id, role, metadata } = message;
  return {
    id,
    role,
    parts: [...parts],
    ...(metadata === undefined || metadata === null ? {} : { metadata }),
  };
}
