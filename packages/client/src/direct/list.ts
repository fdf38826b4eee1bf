//! The thread list, as many pages as were asked for, polled.

import { FrameStore } from '../page/store.js';
import { ProblemError, unreachable } from '../words/problem.js';
import type { ListHandle, ListSnapshot, ThreadSummary } from '../words/types.js';
import { Poller } from './poller.js';
import { type ListJson, read } from './read.js';
import type { ThreadOwner } from './thread.js';

/** Threads in a page. */
const PAGE = 50;
/** Milliseconds between polls. */
const PACE = 2_000;

const NOTHING: ListSnapshot = { status: 'loading', threads: [], hasMore: false, loadingMore: false };

export class DirectList extends FrameStore<ListSnapshot> implements ListHandle {
  readonly #owner: ThreadOwner;
  readonly #title: string | undefined;
  readonly #released: () => void;
  readonly #poller: Poller;
  #state = NOTHING;
  #pages = 1;
  /** Those who wait for the page that is on its way. */
  #loads: { resolve(): void; reject(error: Error): void }[] = [];
  #loaded: (() => void)[] = [];

  constructor(owner: ThreadOwner, title: string | undefined, released: () => void) {
    super(owner.frames, NOTHING);
    this.#owner = owner;
    this.#title = title;
    this.#released = released;
    this.#poller = new Poller(owner.surroundings, () => this.#poll());
    this.#poller.kick();
  }

  async loadMore(): Promise<void> {
    if (!this.#state.hasMore) return;
    const loaded = new Promise<void>((resolve, reject) => {
      this.#loads.push({ resolve, reject });
    });
    if (!this.#state.loadingMore) {
      this.#pages += 1;
      this.#set({ ...this.#state, loadingMore: true });
      this.#poller.kick();
    }
    await loaded;
  }

  release(): void {
    this.#released();
  }

  /** A write of this page may have changed it. */
  refresh(): void {
    this.#poller.kick();
  }

  dispose(): void {
    this.#poller.close();
    const gone = new ProblemError({ code: 'released', detail: 'The list was released.', status: 0 });
    for (const load of this.#loads) load.reject(gone);
    this.#loads = [];
  }

  protected override take(): ListSnapshot {
    return this.#state;
  }

  protected override afterPublish(): void {
    const loaded = this.#loaded;
    this.#loaded = [];
    for (const done of loaded) done();
  }

  async #poll(): Promise<number> {
    const pages = this.#pages;
    try {
      const [threads, hasMore] = await this.#owner.watch(this.#read(pages));
      this.#show(threads, hasMore, pages);
    } catch (error) {
      this.#fail(error instanceof ProblemError ? error : unreachable(), pages);
      throw error;
    }
    return PACE;
  }

  async #read(pages: number): Promise<[ThreadSummary[], boolean]> {
    const known = new Map(this.#state.threads.map(thread => [thread.id, thread]));
    const threads = new Map<string, ThreadSummary>();
    let page: string | undefined;
    for (let i = 0; i < pages; i++) {
      const query = new URLSearchParams({ limit: String(PAGE) });
      if (page !== undefined) query.set('page', page);
      if (this.#title !== undefined) query.set('title', this.#title);
      const answer = await read<ListJson>(this.#owner.access, `/threads?${query}`);
      // A thread that moved while the pages were read is in two of them: the first is its place now.
      for (const entry of answer.threads) {
        if (!threads.has(entry.id)) threads.set(entry.id, keep(known.get(entry.id), summaryOf(entry)));
      }
      page = answer.nextPage ?? undefined;
      if (page === undefined) break;
    }
    return [[...threads.values()], page !== undefined];
  }

  #show(threads: readonly ThreadSummary[], hasMore: boolean, pages: number): void {
    const before = this.#state;
    const same =
      threads.length === before.threads.length && threads.every((thread, i) => thread === before.threads[i]);
    const complete = pages === this.#pages;
    if (complete) this.#settle();
    const loadingMore = before.loadingMore && !complete;
    if (
      same &&
      before.status === 'ready' &&
      before.hasMore === hasMore &&
      before.loadingMore === loadingMore
    ) {
      return;
    }
    this.#set({
      status: 'ready',
      source: 'live',
      threads: same ? before.threads : threads,
      hasMore,
      loadingMore,
    });
  }

  #settle(): void {
    const loads = this.#loads;
    this.#loads = [];
    this.#loaded.push(() => {
      for (const load of loads) load.resolve();
    });
    this.nudge();
  }

  #fail(error: ProblemError, pages: number): void {
    if (this.#state.loadingMore && pages === this.#pages) {
      this.#pages -= 1;
      for (const load of this.#loads) load.reject(error);
      this.#loads = [];
      this.#set({ ...this.#state, loadingMore: false });
    }
    if (this.#state.status !== 'ready') this.#set({ ...NOTHING, status: 'error', error });
  }

  #set(state: ListSnapshot): void {
    this.#state = state;
    this.touch();
  }
}

function summaryOf(entry: ListJson['threads'][number]): ThreadSummary {
  const { id, title, snippet, running, archived, updatedAt } = entry;
  return { id, title, snippet, running, archived, updatedAt: Date.parse(updatedAt) };
}

/** The object that is shown already, if it says the same. */
function keep(before: ThreadSummary | undefined, after: ThreadSummary): ThreadSummary {
  const names = Object.keys(after) as (keyof ThreadSummary)[];
  return before && names.every(name => before[name] === after[name]) ? before : after;
}
