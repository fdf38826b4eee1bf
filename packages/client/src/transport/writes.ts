//! What a client can write, as the requests that do it. Every id is minted here, so that a repeated request has one
//! effect, and a message can be shown before the server knows of it.

import { mint } from '../words/ids.js';
import { jsonOf } from '../words/json.js';
import type {
  CreateThreadInput,
  EditInput,
  OutboxKind,
  Part,
  RegenerateInput,
  SendInput,
  TextEdit,
} from '../words/types.js';

/** A write: plain data, so that it can be stored and handed to another tab. */
export interface Write {
  /** Also the idempotency key. */
  readonly key: string;
  readonly kind: OutboxKind;
  readonly threadId: string;
  /** The message it makes or changes. */
  readonly messageId?: string;
  /** The run it starts or, if `kind` is `stop`, stops. */
  readonly runId?: string;
  readonly method: 'POST' | 'PATCH' | 'DELETE';
  /** Under `/v1`. */
  readonly path: string;
  /** All that is sent, and the only place that says it: a write is stored, and told to every tab. */
  readonly body?: Body | undefined;
  /** The parts an edit of an earlier release makes its message of. */
  readonly parts?: readonly Part[];
}

/** What is sent, as far as anything of it is shown. */
export interface Body {
  readonly title?: string | undefined;
  readonly branch?: string | undefined;
  /** The message that a thread begins with. */
  readonly message?: unknown;
  readonly parts?: readonly Part[];
  /** What an edit replaces: the only text, or these. */
  readonly text?: string | undefined;
  readonly texts?: readonly TextEdit[] | undefined;
  readonly [more: string]: unknown;
}

interface Answer {
  message?: { id: string; branch: string };
  run?: { id: string; branch: string };
  forked?: boolean;
}

/** What callers are given when the server has acknowledged an edit or another answer. */
export interface Written {
  messageId: string;
  branch: string;
  forked: boolean;
  runId?: string;
}

export function createThread({ title, ...input }: CreateThreadInput): Write {
  const threadId = mint();
  const message = input.message === undefined ? undefined : userMessage(input.message);
  const run = message && runOf(input);
  const body = { id: threadId, title, message, run };
  return { ...write('create', threadId, 'POST', '/threads', body), ...made(message, run) };
}

export function send(threadId: string, input: SendInput): Write {
  const { branch, after } = input;
  const message = userMessage(input.parts ?? input.text ?? '');
  const run = runOf(input);
  const body = { ...message, branch, after, run };
  return {
    ...write('send', threadId, 'POST', `${threadPath(threadId)}/messages`, body),
    ...made(message, run),
  };
}

export function edit(threadId: string, messageId: string, input: EditInput): Write {
  const { branch, rev } = input;
  const what = 'texts' in input ? { texts: input.texts } : { text: input.text };
  const run = runOf(input);
  const body = { id: mint(), ...what, rev, branch, run };
  return {
    ...write('edit', threadId, 'PATCH', messagePath(threadId, messageId), body),
    messageId,
    ...(run && { runId: run.id }),
  };
}

export function regenerate(threadId: string, messageId: string, input: RegenerateInput = {}): Write {
  const id = mint();
  const body = { id, message: mint(), regenerate: messageId, ...input };
  return {
    ...write('regenerate', threadId, 'POST', `${threadPath(threadId)}/runs`, body),
    messageId,
    runId: id,
  };
}

/** `threadId`: the run's, as far as it is known. */
export function stop(threadId: string, runId: string): Write {
  return { ...write('stop', threadId, 'POST', `/runs/${encodeURIComponent(runId)}/stop`), runId };
}

export function removeMessage(threadId: string, messageId: string): Write {
  return { ...write('remove', threadId, 'DELETE', messagePath(threadId, messageId)), messageId };
}

export function renameThread(threadId: string, title: string): Write {
  return write('rename', threadId, 'PATCH', threadPath(threadId), { title });
}

export function archiveThread(threadId: string, archived: boolean): Write {
  return write('archive', threadId, 'PATCH', threadPath(threadId), { archived });
}

export function deleteThread(threadId: string): Write {
  return write('delete', threadId, 'DELETE', threadPath(threadId));
}

/** What the server's answer to an edit says to those who wait for it. */
export function writtenOf(answer: unknown): Written {
  const { message, run, forked } = (answer ?? {}) as Answer;
  return {
    messageId: message?.id ?? '',
    branch: message?.branch ?? '',
    forked: forked ?? false,
    ...(run && { runId: run.id }),
  };
}

/** What the server's answer to the wish for another answer says. */
export function regeneratedOf(answer: unknown): { runId: string; messageId: string; branch: string } {
  const { message, run } = (answer ?? {}) as Answer;
  return { runId: run?.id ?? '', messageId: message?.id ?? '', branch: run?.branch ?? '' };
}

/** The write as it is sent; nothing if it says what JSON cannot, which could be neither stored nor told. */
export function plainly(write: Write): Write | undefined {
  try {
    return JSON.parse(jsonOf(write) ?? '') as Write;
  } catch {
    return undefined;
  }
}

/** The parts of the message that a write makes. */
export function partsOf({ body, parts }: Write): readonly Part[] | undefined {
  return parts ?? body?.parts ?? (body?.message as Body | undefined)?.parts;
}

/** The texts an edit replaces. */
export function textsOf({ kind, body }: Write): readonly TextEdit[] | undefined {
  if (kind !== 'edit' || !body) return undefined;
  return body.texts ?? (body.text === undefined ? undefined : [{ text: body.text }]);
}

/** What a person would recognise a write by. */
export function textOf(write: Write): string | undefined {
  if (write.kind === 'rename') return write.body?.title;
  const texts = textsOf(write)?.map(({ text }) => text);
  const said = partsOf(write)?.map(part => (part.type === 'text' ? String(part.text) : ''));
  return texts?.join('\n\n') ?? said?.join('');
}

/** The ids that a write has minted. */
export function idsOf({ messageId, runId }: Write): { messageId?: string; runId?: string } {
  return { ...(messageId && { messageId }), ...(runId && { runId }) };
}

export function threadPath(id: string): string {
  return `/threads/${encodeURIComponent(id)}`;
}

export function messagePath(threadId: string, messageId: string): string {
  return `${threadPath(threadId)}/messages/${encodeURIComponent(messageId)}`;
}

function write(
  kind: OutboxKind,
  threadId: string,
  method: Write['method'],
  path: string,
  body?: Body,
): Write {
  return { key: mint(), kind, threadId, method, path, body };
}

/** The ids of a message that is made, and of the run that answers it. */
function made(message?: { id: string }, run?: { id: string }) {
  return { ...(message && { messageId: message.id }), ...(run && { runId: run.id }) };
}

function userMessage(content: string | Part[]): { id: string; role: 'user'; parts: Part[] } {
  const parts = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
  return { id: mint(), role: 'user', parts };
}

/** Absent fields are left out of what is sent. */
function runOf({ run, provider }: { run?: boolean; provider?: string }): { id: string } | undefined {
  return run ? { id: mint(), ...{ message: mint(), provider } } : undefined;
}
