//! What the browser has kept is parsed before it is shown: another release may have written it, or anything that runs
//! on the same origin. A record that is not as it should be is no record. What each may hold is a table.

import type { Write } from '../transport/writes.js';
import { fieldOf, isCount, isObject, isPlain, isText, isTime } from '../words/json.js';
import type { Problem } from '../words/problem.js';
import type { OutboxItem, Row, ThreadSummary } from '../words/types.js';

/** A thread's newest rows as they were last seen. */
export interface CachedWindow {
  /** The thread's. */
  readonly id: string;
  readonly keptAt: number;
  readonly rows: readonly Row[];
  readonly total: number;
  readonly branch?: string;
  readonly defaultBranch?: string;
  readonly title?: string;
}

/** A write as it is stored and as tabs hand it to each other. */
export interface OutboxEntry {
  readonly write: Write;
  /** Grows in the order of making. */
  readonly order: number;
  readonly createdAt: number;
  /** It may have reached the server. */
  tried: boolean;
  state: OutboxItem['state'];
  error?: Problem;
}

type Check = (value: unknown) => boolean;
/** The fields of an object, and what each must be. Others are unknown. */
type Shape = Readonly<Record<string, Check>>;

const orNone =
  (fits: Check): Check =>
  value =>
    value === undefined || fits(value);
const oneOf =
  (...words: unknown[]): Check =>
  value =>
    words.includes(value);
/** A hole in a list is an item too, which `every` alone passes over. */
const listOf =
  (fits: Check): Check =>
  value =>
    Array.isArray(value) && [...value].every(item => fits(item));
const shape =
  (fields: Shape): Check =>
  value =>
    fieldsIn(value, fields) !== undefined;
const isAnything: Check = () => true;
const isId: Check = value => isText(value) && value !== '';
const isFlag: Check = value => typeof value === 'boolean';
const isPath: Check = value => isText(value) && value.startsWith('/');
const isTextOrNone = orNone(isText);
const areParts = listOf(isPart);

const OPTION = orNone(shape({ branch: isText, message: isText }));
const ROW: Shape = {
  id: isId,
  role: oneOf('system', 'user', 'assistant'),
  parts: areParts,
  status: oneOf('complete', 'streaming', 'stopped', 'interrupted', 'failed', 'removed'),
  depth: isCount,
  branch: isText,
  rev: isCount,
  createdAt: isTime,
  metadata: isAnything,
  run: isTextOrNone,
  fork: orNone(shape({ index: isCount, total: isCount, previous: OPTION, next: OPTION })),
  previews: orNone(listOf(shape({ part: isCount, bytes: isCount }))),
};

const WINDOW: Shape = {
  id: isText,
  keptAt: isCount,
  rows: isAnything,
  total: isCount,
  branch: isTextOrNone,
  defaultBranch: isTextOrNone,
  title: isTextOrNone,
};

const SUMMARY: Shape = {
  id: isId,
  title: isText,
  snippet: isText,
  running: isFlag,
  archived: isFlag,
  updatedAt: isTime,
};

/** What is shown of a request's body are its words. */
const BODY: Shape = {
  title: isTextOrNone,
  branch: isTextOrNone,
  text: isTextOrNone,
  texts: orNone(listOf(shape({ text: isText, part: orNone(isCount) }))),
  parts: orNone(areParts),
  message: orNone(shape({ parts: orNone(areParts) })),
};

const WRITE: Shape = {
  key: isId,
  kind: oneOf('create', 'send', 'edit', 'regenerate', 'remove', 'stop', 'rename', 'archive', 'delete'),
  threadId: isText,
  messageId: isTextOrNone,
  runId: isTextOrNone,
  parts: orNone(areParts),
  method: oneOf('POST', 'PATCH', 'DELETE'),
  path: isPath,
  body: orNone(shape(BODY)),
};

const ENTRY: Shape = {
  // Somebody has written it: what a later release has added to it is kept.
  write: shape(WRITE),
  order: isCount,
  createdAt: isTime,
  tried: isFlag,
  state: oneOf('pending', 'sending', 'failed'),
  error: isAnything,
};

const PROBLEM: Shape = { code: isText, detail: isTextOrNone, hint: isTextOrNone, status: isCount };

/** A window of this thread; nothing if the record is none. */
export function windowIn(record: unknown, threadId: string): CachedWindow | undefined {
  const window = isPlain(record) ? fieldsIn<CachedWindow>(record, WINDOW) : undefined;
  const rows = allIn<Row>(window?.rows, ROW);
  if (!rows || window?.id !== threadId) return undefined;
  // One place a row: what lists them goes by it.
  const inOrder = rows.every((row, at) => at === 0 || row.depth > (rows[at - 1]?.depth ?? 0));
  return inOrder ? { ...window, rows } : undefined;
}

/** The list of threads; nothing if the record is none. */
export function listIn(record: unknown): readonly ThreadSummary[] | undefined {
  return allIn<ThreadSummary>(record, SUMMARY);
}

/** A write as it was stored, under its own key; nothing if the record is none. */
export function entryIn(record: unknown): OutboxEntry | undefined {
  const entry = isPlain(record) ? fieldsIn<OutboxEntry>(record, ENTRY) : undefined;
  if (!entry) return undefined;
  const { error: stored, ...known } = entry;
  const error = fieldsIn<Problem>(stored, PROBLEM);
  return error ? { ...known, error } : known;
}

/** Whether a record says that it is a write with this key: one that nobody here can read may be of a later release. */
export function isNamed(record: unknown, key: string): boolean {
  return isObject(record) && isObject(record.write) && fieldOf(record.write, 'key') === key;
}

function isPart(value: unknown): boolean {
  if (!isObject(value)) return false;
  const type = fieldOf(value, 'type');
  return isText(type) && ((type !== 'text' && type !== 'reasoning') || isText(fieldOf(value, 'text')));
}

/** The known fields of an object that are there; nothing if one of them is not as it should be. */
function fieldsIn<T>(value: unknown, fields: Shape): T | undefined {
  if (!isObject(value)) return undefined;
  const known: Record<string, unknown> = {};
  for (const [name, fits] of Object.entries(fields)) {
    const field = fieldOf(value, name);
    if (!fits(field)) return undefined;
    if (field !== undefined) known[name] = field;
  }
  return known as T;
}

/** Every item, each id once; nothing if it is no list or one of them is not as it should be. */
function allIn<T extends { id: string }>(list: unknown, fields: Shape): readonly T[] | undefined {
  if (!Array.isArray(list)) return undefined;
  const all = Array.from(list, item => fieldsIn<T>(item, fields));
  const ids = new Set(all.map(item => item?.id));
  return ids.has(undefined) || ids.size < all.length ? undefined : (all as T[]);
}
