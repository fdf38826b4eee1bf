//! What the core's outputs carry. The numbers are in `outputs.ts` and `view-patches.ts`.

import type { Problem } from '../words/problem.js';
import type { Part, Row, SyncStatus, ThreadSnapshot, ThreadSummary } from '../words/types.js';
import type * as LIST from './list-patches.js';
import type * as OUT from './outputs.js';
import type { StatusNews } from './status.js';
import type * as VIEW from './view-patches.js';

export * as OUT from './outputs.js';

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
  | [typeof OUT.status, StatusNews]
  | [typeof OUT.wait, number | null]
  | [typeof OUT.post, Uint8Array<ArrayBuffer>]
  | [typeof OUT.role, SyncStatus['role'], number]
  | [typeof OUT.renew]
  | [typeof OUT.flags]
  | [typeof OUT.dropped, number]
  | [typeof OUT.write, number]
  | [typeof OUT.writing, number, Stage]
  | [typeof OUT.steal];

export type Head = Omit<ThreadSnapshot, 'rows' | 'firstIndex' | 'error'> & { error?: Problem };

export * as VIEW from './view-patches.js';

export type ViewPatch =
  | [typeof VIEW.head, Head]
  | [typeof VIEW.reset, Row[]]
  | [typeof VIEW.prepend, Row[]]
  | [typeof VIEW.append, Row[]]
  | [typeof VIEW.dropFirst, number]
  | [typeof VIEW.dropLast, number]
  | [typeof VIEW.update, Row]
  | [typeof VIEW.remove, string]
  | [typeof VIEW.text, string, number, string]
  | [typeof VIEW.part, string, number, Part]
  | [typeof VIEW.loaded, Side, number, Problem | null]
  | [typeof VIEW.stayed, Problem];

export type Side = 'older' | 'newer';

export interface ListHead {
  status: 'loading' | 'ready' | 'error';
  hasMore: boolean;
  loadingMore: boolean;
  error?: Problem;
}

export * as LIST from './list-patches.js';

export type ListPatch =
  | [typeof LIST.head, ListHead]
  | [typeof LIST.put, number, ThreadSummary]
  | [typeof LIST.remove, string];
