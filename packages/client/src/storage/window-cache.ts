//! Windows and the list as they were last seen, kept by the browser: shown at once at the next start, and without a
//! network. They are replaced by what the server says as soon as it does.

import { fieldOf, isObject } from '../words/json.js';
import type { PreviewPart, Row, ThreadSnapshot, ThreadSummary } from '../words/types.js';
import { type CachedWindow, listIn, windowIn } from './records.js';
import type { Storage } from './storage.js';

/** Threads whose last window is kept from one start to the next; twice as many at times. */
const THREADS = 50;
/** Rows of a window that are kept, and entries of the list. */
const ROWS = 50;
const ENTRIES = 100;
/** Milliseconds of quiet before something is written. */
const QUIET = 1_000;
const LIST = 'list';

export class WindowCache {
  readonly #storage: Storage;
  /** What is to be written when it is quiet. */
  readonly #due = new Map<string, () => Promise<void>>();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** Threads whose windows were kept since there was last a look at how many there are; none before the first. */
  #kept: Set<string> | undefined;

  constructor(storage: Storage) {
    this.#storage = storage;
  }

  async window(threadId: string): Promise<CachedWindow | undefined> {
    const record = await this.#storage.get('windows', threadId);
    const window = windowIn(record, threadId);
    if (record !== undefined && !window) void this.#storage.delete('windows', threadId);
    return window;
  }

  async list(): Promise<readonly ThreadSummary[] | undefined> {
    const record = await this.#storage.get('lists', LIST);
    const list = listIn(record);
    if (record !== undefined && !list) void this.#storage.delete('lists', LIST);
    return list;
  }

  keepList(threads: readonly ThreadSummary[]): void {
    this.#later(LIST, () => this.#storage.put('lists', LIST, threads.slice(0, ENTRIES)));
  }

  /** Keeps a window at the tip; `parts` is what a run has written of a message so far. */
  keepWindow(threadId: string, snapshot: ThreadSnapshot, parts: (row: Row) => readonly PreviewPart[]): void {
    this.#later(threadId, async () => {
      const { total, branch, defaultBranch, title } = snapshot;
      const rows = snapshot.rows
        .filter(row => row.rev > 0)
        .slice(-ROWS)
        .map(({ outbox: _, ...row }) => (row.run ? { ...row, parts: parts(row as Row) } : row));
      const kept = { id: threadId, keptAt: Date.now(), rows, total, branch, defaultBranch, title };
      await this.#storage.put('windows', threadId, kept);
      this.#kept?.add(threadId);
      if (this.#kept && this.#kept.size <= THREADS) return;
      this.#kept = new Set();
      await this.#prune();
    });
  }

  /** The thread is gone: nothing of it stays. */
  forget(threadId: string): void {
    this.#later(threadId, () => this.#storage.delete('windows', threadId));
  }

  /** Writes what is due now: the page may be about to go. */
  flush(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    const due = [...this.#due.values()];
    this.#due.clear();
    for (const write of due) void write();
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#due.clear();
  }

  #later(key: string, write: () => Promise<void>): void {
    this.#due.set(key, write);
    this.#timer ??= setTimeout(() => this.flush(), QUIET);
  }

  /** Gives up what was not seen for longest. */
  async #prune(): Promise<void> {
    const windows = (await this.#storage.entries('windows')).map(
      ([key, record]) => [key, seenAt(record)] as const,
    );
    const old = windows.sort(([, a], [, b]) => b - a).slice(THREADS);
    await Promise.all(old.map(([key]) => this.#storage.delete('windows', key)));
  }
}

/** When a record was kept; what is no record is the oldest. */
function seenAt(record: unknown): number {
  const keptAt = isObject(record) ? fieldOf(record, 'keptAt') : undefined;
  return typeof keptAt === 'number' && Number.isFinite(keptAt) ? keptAt : Number.NEGATIVE_INFINITY;
}
