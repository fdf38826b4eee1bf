//! The thread list on the host's side.

import { Call } from '../core/core.js';
import type { Host } from '../core/host.js';
import { LIST, type ListHead, type ListPatch } from '../core/wire.js';
import { overList, type Pending } from '../outbox/overlay.js';
import type { Frames } from '../page/frames.js';
import { Waiters } from '../page/promises.js';
import { FrameStore } from '../page/store.js';
import { type Problem, ProblemError, RELEASED } from '../words/problem.js';
import type { ListHandle, ListSnapshot, ThreadSummary } from '../words/types.js';
import { Faults } from './faults.js';

const NOTHING: ListSnapshot = { status: 'loading', threads: [], hasMore: false, loadingMore: false };

/** Who made a list. */
export interface ListOwner {
  /** One who showed it does so no more. */
  released(): void;
  /** It shows something else than before; `threads` as the server has them. */
  published?(threads: readonly ThreadSummary[]): void;
  /** The server has the thread no more. */
  removed?(threadId: string): void;
}

export class ThreadList extends FrameStore<ListSnapshot> implements ListHandle {
  readonly #host: Host;
  readonly #list: number;
  readonly #owner: ListOwner;
  /** What is held comes from this browser's storage. */
  #cached = false;
  #threads: readonly ThreadSummary[] = [];
  #pending: readonly Pending[] = [];
  #head: ListHead = NOTHING;
  readonly #faults = new Faults();
  readonly #loads = new Waiters<void>();
  #settle = false;

  constructor(host: Host, frames: Frames, list: number, owner: ListOwner) {
    super(frames, NOTHING);
    this.#host = host;
    this.#list = list;
    this.#owner = owner;
  }

  loadMore(): Promise<void> {
    const asked = this.#loads.any;
    const answer = this.#loads.wait();
    if (!asked) {
      this.#host.call(Call.more, this.#list);
      if (!this.#head.loadingMore) this.#done();
    }
    return answer;
  }

  release(): void {
    this.#owner.released();
  }

  /** Shows what this browser has kept, unless the core knows better already. */
  restore(threads: readonly ThreadSummary[]): void {
    if (this.#head.status === 'ready') return;
    this.#cached = true;
    this.#threads = threads;
    this.touch();
  }

  /** What the outbox has. */
  pend(pending: readonly Pending[]): void {
    this.#pending = pending;
    this.touch();
  }

  dispose(): void {
    this.#loads.reject(new ProblemError(RELEASED));
  }

  /** Whether a request is for a page of threads. */
  reads(path: string): boolean {
    return path.startsWith('/threads?');
  }

  answered(fault: Problem | undefined): void {
    if (this.#faults.take(fault)) this.touch();
  }

  /** Applies one patch of the core's. */
  apply(patch: ListPatch): void {
    switch (patch[0]) {
      case LIST.head:
        this.#head = patch[1];
        // An empty list is an answer too.
        if (this.#cached && patch[1].status === 'ready') {
          this.#cached = false;
          this.#threads = [];
        }
        if (!patch[1].loadingMore) this.#done();
        break;
      case LIST.put:
        if (this.#cached) this.#threads = [];
        this.#cached = false;
        this.#put(patch[1], patch[2]);
        break;
      case LIST.remove:
        this.#threads = this.#threads.filter(thread => thread.id !== patch[1]);
        this.#owner.removed?.(patch[1]);
        break;
    }
    this.touch();
  }

  protected override take(): ListSnapshot {
    const { error, ...head } = this.#head;
    const threads = overList(this.#threads, this.#pending);
    // The core knows only that nothing came.
    const why = { ...(error && { error: new ProblemError(error) }), ...this.#faults.said() };
    if (this.#cached) return { ...head, ...why, status: 'ready', source: 'cache', threads };
    return { ...head, ...why, source: 'live', threads };
  }

  protected override afterPublish(): void {
    if (!this.#cached && this.#head.status === 'ready') this.#owner.published?.(this.#threads);
    if (!this.#settle) return;
    this.#settle = false;
    if (this.#head.error) this.#loads.reject(new ProblemError(this.#head.error));
    else this.#loads.resolve();
  }

  #done(): void {
    this.#settle = true;
    this.nudge();
  }

  #put(index: number, thread: ThreadSummary): void {
    const threads = this.#threads.filter(held => held.id !== thread.id);
    threads.splice(index, 0, thread);
    this.#threads = threads;
  }
}
