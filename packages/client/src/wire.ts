//! The core's outputs by number. The numbers are those of `crates/wasm/src/encode.rs`.

import type { Problem } from './problem.js';
import type { Row, SyncStatus, ThreadSnapshot, ThreadSummary } from './types.js';

export const OUT = {
  connect: 0,
  disconnect: 1,
  send: 2,
  fetchWindow: 3,
  fetchList: 4,
  view: 5,
  list: 6,
  status: 7,
  wait: 8,
  post: 9,
  role: 10,
  renew: 11,
  flags: 12,
  dropped: 13,
  write: 14,
  writing: 15,
} as const;

/** Where a write is; the last two are said once, when it is over. */
export type Stage = 'pending' | 'sending' | 'failed' | 'done' | 'dropped';

export type Output =
  | [typeof OUT.connect, SyncStatus['transport']]
  | [typeof OUT.disconnect]
  | [typeof OUT.send, Uint8Array<ArrayBuffer>]
  | [typeof OUT.fetchWindow, number, string]
  | [typeof OUT.fetchList, number, string]
  | [typeof OUT.view, number, ViewPatch]
  | [typeof OUT.list, number, ListPatch]
  | [typeof OUT.status, SyncStatus['connection'], Problem | null]
  | [typeof OUT.wait, number | null]
  | [typeof OUT.post, Uint8Array<ArrayBuffer>]
  | [typeof OUT.role, SyncStatus['role'], number]
  | [typeof OUT.renew]
  | [typeof OUT.flags]
  | [typeof OUT.dropped, number]
  | [typeof OUT.write, number]
  | [typeof OUT.writing, number, Stage];

export type Head = Omit<ThreadSnapshot, 'rows' | 'firstIndex' | 'error'> & { error?: Problem };

export const VIEW = {
  head: 0,
  reset: 1,
  prepend: 2,
  append: 3,
  dropFirst: 4,
  dropLast: 5,
  update: 6,
  remove: 7,
  text: 8,
  textReset: 9,
  loaded: 10,
  stayed: 11,
} as const;

export type ViewPatch =
  | [typeof VIEW.head, Head]
  | [typeof VIEW.reset, Row[]]
  | [typeof VIEW.prepend, Row[]]
  | [typeof VIEW.append, Row[]]
  | [typeof VIEW.dropFirst, number]
  | [typeof VIEW.dropLast, number]
  | [typeof VIEW.update, Row]
  | [typeof VIEW.remove, string]
  | [typeof VIEW.text, string, string]
  | [typeof VIEW.textReset, string, string]
  | [typeof VIEW.loaded, Side, number, Problem | null]
  | [typeof VIEW.stayed, Problem];

export type Side = 'older' | 'newer';

export interface ListHead {
  status: 'loading' | 'ready' | 'error';
  hasMore: boolean;
  loadingMore: boolean;
  error?: Problem;
}

export const LIST = { head: 0, put: 1, remove: 2 } as const;

export type ListPatch =
  | [typeof LIST.head, ListHead]
  | [typeof LIST.put, number, ThreadSummary]
  | [typeof LIST.remove, string];
