//! What the direct engine reads: windows, threads and list pages as JSON.

import { type Access, unasked } from '../transport/access.js';
import { previewBytes } from '../words/preview-marks.js';
import { problemOf, unreachable } from '../words/problem.js';
import type { ForkOption, MessageStatus, Part, Row } from '../words/types.js';

/** Live messages in one page, the most the server gives. */
const PAGE = 200;
/** Live messages that a poll reads. */
const TIP = 50;

interface MessageJson {
  readonly id: string;
  readonly role: Row['role'];
  readonly parts: readonly Part[];
  readonly metadata?: unknown;
  readonly status: MessageStatus;
  readonly branch: string;
  readonly depth: number;
  readonly rev: number;
  readonly createdAt: string;
}

export interface RunJson {
  readonly id: string;
  readonly message: string;
  readonly status: 'live' | 'stopping' | 'ended';
}

interface ForkJson {
  readonly depth: number;
  readonly message: string;
  readonly index: number;
  readonly total: number;
  readonly previous?: ForkOption;
  readonly next?: ForkOption;
}

export interface WindowJson {
  readonly branch: string;
  readonly cursor: string;
  readonly total: number;
  readonly firstDepth: number;
  readonly nextDepth: number;
  readonly messages: readonly MessageJson[];
  readonly runs: readonly RunJson[];
  readonly forks: readonly ForkJson[];
  readonly hasOlder: boolean;
}

export interface ThreadJson {
  readonly thread: { readonly title: string; readonly defaultBranch: string };
}

export interface ListJson {
  readonly threads: readonly {
    readonly id: string;
    readonly title: string;
    readonly snippet: string;
    readonly running: boolean;
    readonly archived: boolean;
    readonly updatedAt: string;
  }[];
  readonly nextPage?: string | null;
}

/** Reads once: who polls tries again anyway. */
export async function read<T>(access: Access, path: string): Promise<T> {
  const response = await access.fetch(path, { headers: { accept: 'application/json' } }).catch(unasked);
  if (!response) throw await access.unanswered();
  if (!response.ok) throw await problemOf(response);
  return (await response.json().catch(() => Promise.reject(unreachable()))) as T;
}

/** The end of a branch, the default one if none is named. */
export function readTip(access: Access, thread: string, branch: string | undefined): Promise<WindowJson> {
  return readWindow(access, thread, branch, 'tip', TIP);
}

/** The branch that has this message. */
export async function branchOf(access: Access, thread: string, message: string): Promise<string> {
  return (await readWindow(access, thread, undefined, `message:${message}`, 1)).branch;
}

/** Every page of a branch, the newest first. */
export async function readWhole(
  access: Access,
  thread: string,
  branch: string | undefined,
): Promise<[WindowJson, ...WindowJson[]]> {
  let page = await readWindow(access, thread, branch, 'tip', PAGE);
  const pages: [WindowJson, ...WindowJson[]] = [page];
  while (page.hasOlder) {
    page = await readWindow(access, thread, page.branch, `depth:${page.firstDepth}`, PAGE);
    pages.push(page);
  }
  return pages;
}

function readWindow(
  access: Access,
  thread: string,
  branch: string | undefined,
  anchor: string,
  before: number,
): Promise<WindowJson> {
  const query = new URLSearchParams({ anchor, before: String(before) });
  if (branch !== undefined) query.set('branch', branch);
  return read(access, `/threads/${encodeURIComponent(thread)}/messages?${query}`);
}

/** The window's messages as rows. */
export function rowsOf(window: WindowJson): Row[] {
  const forks = new Map(window.forks.map(fork => [fork.message, fork]));
  const runs = new Map(window.runs.filter(isLive).map(run => [run.message, run.id]));
  return window.messages.map(message => rowOf(message, forks.get(message.id), runs.get(message.id)));
}

export function isLive(run: RunJson): boolean {
  return run.status !== 'ended';
}

function rowOf(message: MessageJson, fork: ForkJson | undefined, run: string | undefined): Row {
  const { metadata, createdAt, parts, ...fixed } = message;
  const previews = parts.flatMap((part, index) => {
    const bytes = previewBytes(part);
    return bytes === undefined ? [] : [{ part: index, bytes }];
  });
  return {
    ...fixed,
    parts: parts.map(withoutMark),
    createdAt: Date.parse(createdAt),
    ...(metadata === undefined || metadata === null ? {} : { metadata }),
    ...(fork ? { fork: forkOf(fork) } : {}),
    ...(run === undefined ? {} : { run }),
    ...(previews.length > 0 ? { previews } : {}),
  };
}

/** The part without what the server says of it. */
function withoutMark(part: Part): Part {
  if (previewBytes(part) === undefined) return part;
  const { preview: _, ...own } = part;
  return own as Part;
}

function forkOf({ index, total, previous, next }: ForkJson): NonNullable<Row['fork']> {
  return { index, total, ...(previous ? { previous } : {}), ...(next ? { next } : {}) };
}
