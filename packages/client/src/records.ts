//! What the browser has kept is parsed before it is shown: another release may have written it, or anything that runs
//! on the same origin. A record that is not as it should be is no record.

import { type Fields, fieldOf, isCount, isObject, isPlain, isText, isTextOrNone, isTime } from './json.js';
import type { KeptWindow } from './keeper.js';
import type { Entry } from './outbox.js';
import type { Fork, ForkOption, Part, Row, TextEdit, ThreadSummary } from './types.js';
import type { Write } from './writes.js';

const ROLES: readonly unknown[] = ['system', 'user', 'assistant'];
const STATUSES: readonly unknown[] = ['complete', 'streaming', 'stopped', 'interrupted', 'failed', 'removed'];
const KINDS: readonly unknown[] = [
  'create',
  'send',
  'edit',
  'regenerate',
  'remove',
  'stop',
  'rename',
  'archive',
  'delete',
];
const METHODS: readonly unknown[] = ['POST', 'PATCH', 'DELETE'];
const STATES: readonly unknown[] = ['pending', 'sending', 'failed'];

/** A window of this thread; nothing if the record is none. */
export function windowIn(record: unknown, threadId: string): KeptWindow | undefined {
  if (!isObject(record) || !isPlain(record)) return undefined;
  const { id, keptAt, rows, total, branch, defaultBranch, title } = record;
  const parsed = allOf(rows, rowIn);
  const fits = id === threadId && isCount(keptAt) && isCount(total) && parsed !== undefined;
  if (!fits || !isTextOrNone(branch) || !isTextOrNone(defaultBranch) || !isTextOrNone(title))
    return undefined;
  // One place a row, and each id once: what lists them goes by both.
  const inOrder = parsed.every((row, at) => at === 0 || row.depth > (parsed[at - 1]?.depth ?? 0));
  if (!inOrder || new Set(parsed.map(row => row.id)).size < parsed.length) return undefined;
  return { id, keptAt, rows: parsed, total, ...given({ branch, defaultBranch, title }) };
}

/** The list of threads; nothing if the record is none. */
export function listIn(record: unknown): readonly ThreadSummary[] | undefined {
  const threads = allOf(record, summaryIn);
  const ids = new Set(threads?.map(thread => thread.id));
  return threads && ids.size === threads.length ? threads : undefined;
}

/** A write as it was stored, under its own key; nothing if the record is none. */
export function entryIn(record: unknown): Entry | undefined {
  if (!isObject(record) || !isPlain(record)) return undefined;
  const write = writeIn(record.write);
  const { order, createdAt, tried, state, error } = record;
  const fits = isCount(order) && isTime(createdAt) && STATES.includes(state);
  if (!write || !fits || typeof tried !== 'boolean') return undefined;
  const known = { write, order, createdAt, tried, state } as Entry;
  if (!isObject(error)) return known;
  const { code, detail, hint, status } = error;
  if (!isText(code) || !isTextOrNone(detail) || !isTextOrNone(hint) || !isCount(status)) return known;
  return { ...known, error: { code, status, ...given({ detail, hint }) } };
}

/** Whether a record says that it is a write with this key: one that nobody here can read may be of a later release. */
export function isNamed(record: unknown, key: string): boolean {
  return isObject(record) && isObject(record.write) && fieldOf(record.write, 'key') === key;
}

/** A write is what somebody has written: what a later release has added to it is kept. */
function writeIn(value: unknown): Write | undefined {
  if (!isObject(value)) return undefined;
  const { key, kind, threadId, messageId, runId, parts, method, path } = value;
  const named = isText(key) && key !== '' && isText(threadId) && isText(path) && path.startsWith('/');
  const known = KINDS.includes(kind) && METHODS.includes(method);
  if (!named || !known || !isListOrNone(parts, partIn)) return undefined;
  if (!isTextOrNone(messageId) || !isTextOrNone(runId)) return undefined;
  if (value.body !== undefined && !isBody(value.body)) return undefined;
  return value as unknown as Write;
}

/** What is shown of a request's body are its words. */
function isBody(value: unknown): boolean {
  if (!isObject(value)) return false;
  const { title, branch, text, texts, parts, message } = value;
  const worded = isTextOrNone(title) && isTextOrNone(branch) && isTextOrNone(text);
  const listed = isListOrNone(texts, textIn) && isListOrNone(parts, partIn);
  const begins = message === undefined || (isObject(message) && isListOrNone(message.parts, partIn));
  return worded && listed && begins;
}

/** What an edit makes of a text part. */
function textIn(value: unknown): TextEdit | undefined {
  if (!isObject(value)) return undefined;
  const { part, text } = value;
  return isText(text) && (part === undefined || isCount(part)) ? (value as unknown as TextEdit) : undefined;
}

function rowIn(value: unknown): Row | undefined {
  if (!isObject(value)) return undefined;
  const { id, role, status, depth, branch, rev, createdAt, metadata, run } = value;
  const named =
    isText(id) && id !== '' && isText(branch) && ROLES.includes(role) && STATUSES.includes(status);
  const counted = isCount(depth) && isCount(rev) && isTime(createdAt);
  const parts = allOf(value.parts, partIn);
  if (!named || !counted || !parts || !isTextOrNone(run)) return undefined;
  const fork = forkIn(value.fork);
  const previews = value.previews === undefined ? undefined : allOf(value.previews, previewIn);
  if ((value.fork !== undefined && !fork) || (value.previews !== undefined && !previews)) return undefined;
  const fixed = { id, role, parts, status, depth, branch, rev, createdAt } as Row;
  return { ...fixed, ...given({ metadata, run, fork, previews }) };
}

function partIn(value: unknown): Part | undefined {
  if (!isObject(value) || !isText(fieldOf(value, 'type'))) return undefined;
  const worded = value.type === 'text' || value.type === 'reasoning';
  return worded && !isText(fieldOf(value, 'text')) ? undefined : (value as Part);
}

function previewIn(value: unknown): { part: number; bytes: number } | undefined {
  if (!isObject(value)) return undefined;
  const { part, bytes } = value;
  return isCount(part) && isCount(bytes) ? { part, bytes } : undefined;
}

function forkIn(value: unknown): Fork | undefined {
  if (!isObject(value)) return undefined;
  const { index, total } = value;
  const [previous, next] = [optionIn(value.previous), optionIn(value.next)];
  if (!isCount(index) || !isCount(total)) return undefined;
  return { index, total, ...given({ previous, next }) };
}

function optionIn(value: unknown): ForkOption | undefined {
  if (!isObject(value)) return undefined;
  const { branch, message } = value;
  return isText(branch) && isText(message) ? { branch, message } : undefined;
}

function summaryIn(value: unknown): ThreadSummary | undefined {
  if (!isObject(value)) return undefined;
  const { id, title, snippet, running, archived, updatedAt } = value;
  const worded = isText(id) && id !== '' && isText(title) && isText(snippet);
  const flagged = typeof running === 'boolean' && typeof archived === 'boolean';
  if (!worded || !flagged || !isTime(updatedAt)) return undefined;
  return { id, title, snippet, running, archived, updatedAt };
}

/** Every item, parsed; nothing if it is no list or one of them is not as it should be. */
function allOf<T>(list: unknown, parse: (item: unknown) => T | undefined): T[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const parsed: T[] = [];
  for (const item of list) {
    const known = parse(item);
    if (known === undefined) return undefined;
    parsed.push(known);
  }
  return parsed;
}

function isListOrNone(list: unknown, parse: (item: unknown) => unknown): boolean {
  return list === undefined || allOf(list, parse) !== undefined;
}

/** The fields that are there. */
function given<T extends Fields>(fields: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const there = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(there) as { [K in keyof T]?: Exclude<T[K], undefined> };
}
