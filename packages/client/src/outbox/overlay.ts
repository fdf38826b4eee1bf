//! What the outbox adds to what the server said: messages that are on their way, marks on rows that are being
//! changed, threads that are being made.

import { partsOf, textOf, textsOf, type Write } from '../transport/writes.js';
import type { OutboxItem, Row, ThreadSnapshot, ThreadSummary } from '../words/types.js';

/** A write that concerns what is shown. */
export interface Pending {
  readonly write: Write;
  readonly item: OutboxItem;
}

/** Milliseconds a message that was acknowledged is shown before the log has brought it. */
export const ECHO = 10_000;

/** Letters of a message that its thread shows in the list, as the server cuts them. */
const SNIPPET = 160;

/** Rows with the outbox over them. An object that does not change keeps its identity. */
export class Overlay {
  #pending: readonly Pending[] = [];
  /** Acknowledged, and not brought by the log yet: since when. */
  readonly #echoes = new Map<string, { write: Write; since: number }>();
  /** The rows made in the last pass, and in this one so far. */
  #made = new Map<string, { from: unknown; row: Row }>();
  #making = new Map<string, { from: unknown; row: Row }>();

  set(pending: readonly Pending[]): void {
    this.#pending = pending;
  }

  /** A write was acknowledged: its message stays until the log brings it. */
  acknowledge(write: Write): void {
    if (isMade(write)) this.#echoes.set(write.key, { write, since: Date.now() });
  }

  /** Something acknowledged is shown that the log has not brought. */
  get echoes(): boolean {
    return this.#echoes.size > 0;
  }

  /** The thread is only in the outbox. */
  get creates(): boolean {
    return [...this.#pending, ...this.#echoes.values()].some(({ write }) => write.kind === 'create');
  }

  /** The title that a thread on its way was given. */
  get #newTitle(): { title?: string } {
    const writes = [...this.#pending, ...this.#echoes.values()].map(({ write }) => write);
    const made = writes.find(({ kind }) => kind === 'create')?.body as { title?: string } | undefined;
    return made?.title === undefined ? {} : { title: made.title };
  }

  over(snapshot: ThreadSnapshot): ThreadSnapshot {
    if (this.#pending.length === 0 && this.#echoes.size === 0) {
      this.#made.clear();
      return snapshot;
    }
    const made = this.creates && snapshot.status !== 'ready' && snapshot.status !== 'deleted';
    const { error: _, ...rest } = snapshot;
    const base: ThreadSnapshot = made ? { ...this.#newTitle, ...rest, status: 'ready' } : snapshot;
    const rows = base.rows.map(row => this.#marked(row));
    const held = new Set(base.rows.map(row => row.id));
    const add = (write: Write, item?: OutboxItem) => {
      const { messageId } = write;
      if (messageId === undefined || !isMade(write) || held.has(messageId) || base.hasNewer) return;
      if (!isFor(write, base)) return;
      const depth = Math.max(base.total, (rows.at(-1)?.depth ?? -1) + 1);
      rows.push(this.#row(write.key, depth, { ...fresh(write, base, depth), ...outboxOf(item) }));
    };
    for (const [key, { write, since }] of this.#echoes) {
      if (held.has(write.messageId ?? '') || Date.now() - since >= ECHO) this.#echoes.delete(key);
      else add(write);
    }
    for (const { write, item } of this.#pending) add(write, item);
    this.#made = this.#making;
    this.#making = new Map();
    return { ...base, rows };
  }

  #marked(row: Row): Row {
    const pending = this.#pending.findLast(
      ({ write }) => write.messageId === row.id && write.kind !== 'send' && write.kind !== 'create',
    );
    if (!pending) return row;
    const { write, item } = pending;
    return this.#row(write.key, row, { ...edited(row, write), ...outboxOf(item) });
  }

  /** The row made for a write the last time, if it was made from the same. */
  #row(key: string, from: unknown, row: Row): Row {
    const known = this.#made.get(key);
    const same = known && known.from === from && known.row.outbox === row.outbox;
    const made = same ? known : { from, row };
    this.#making.set(key, made);
    return made.row;
  }
}

/** The write makes a message of its own. */
function isMade(write: Write): boolean {
  return (write.kind === 'send' || write.kind === 'create') && partsOf(write) !== undefined;
}

/** The branch a write goes to is the one that is shown; where none is named, it is the default one. */
function isFor({ body }: Write, { branch, defaultBranch }: ThreadSnapshot): boolean {
  const goesTo = (body as { branch?: string } | undefined)?.branch ?? defaultBranch;
  const shown = branch ?? defaultBranch;
  return goesTo === undefined || shown === undefined || goesTo === shown;
}

/** The row as an edit leaves it: the texts it replaces are whole, all else is as it was. */
function edited(row: Row, write: Write): Row {
  if (write.kind !== 'edit') return row;
  const [texts, all] = [textsOf(write), partsOf(write)];
  // The edit of an earlier release, which replaces everything.
  if (!texts) return all ? { ...row, parts: all } : row;
  const only = row.parts.findIndex(part => part.type === 'text');
  const news = new Map(texts.map(({ part = only, text }) => [part, text]));
  const parts = row.parts.map((part, index) => {
    const text = part.type === 'text' ? news.get(index) : undefined;
    return text === undefined ? part : { ...part, text };
  });
  const { previews, ...rest } = row;
  const cut = previews?.filter(({ part }) => !news.has(part)) ?? [];
  return { ...rest, parts, ...(cut.length > 0 && { previews: cut }) };
}

function outboxOf(item: OutboxItem | undefined): { outbox?: OutboxItem } {
  return item ? { outbox: item } : {};
}

function fresh(write: Write, { branch }: ThreadSnapshot, depth: number): Row {
  return {
    id: write.messageId ?? write.key,
    role: 'user',
    parts: partsOf(write) ?? [],
    status: 'complete',
    depth,
    branch: branch ?? '',
    rev: 0,
    createdAt: Date.now(),
  };
}

/** The list with the outbox over it: new threads first, new titles, and without those that are being removed. */
export function overList(
  threads: readonly ThreadSummary[],
  pending: readonly Pending[],
): readonly ThreadSummary[] {
  if (pending.length === 0) return threads;
  let list = [...threads];
  for (const { write, item } of pending) {
    const { threadId, kind } = write;
    const text = textOf(write);
    if (item.state === 'failed') continue;
    if (kind === 'delete' || kind === 'archive') list = list.filter(thread => thread.id !== threadId);
    else if (kind === 'rename') {
      list = list.map(thread => (thread.id === threadId ? { ...thread, title: text ?? '' } : thread));
    } else if (kind === 'create' && !list.some(thread => thread.id === threadId)) {
      const title = (write.body as { title?: string } | undefined)?.title ?? '';
      const entry = {
        id: threadId,
        title,
        snippet: (text ?? '').slice(0, SNIPPET),
        running: false,
        archived: false,
      };
      list.unshift({ ...entry, updatedAt: item.createdAt });
    }
  }
  return list;
}
