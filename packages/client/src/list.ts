//! The thread list on the host's side.

import { Wish } from '../wasm/threadmill_wasm.js';
import type { Frames } from './frames.js';
import type { Host } from './host.js';
import { ProblemError } from './problem.js';
import { Waiters } from './promises.js';
import { FrameStore } from './store.js';
import type { ListHandle, ListSnapshot, ThreadSummary } from './types.js';
import { LIST, type ListHead, type ListPatch } from './wire.js';

const NOTHING: ListSnapshot = { status: 'loading', threads: [], hasMore: false, loadingMore: false };

export class ThreadList extends FrameStore<ListSnapshot> implements ListHandle {
  readonly #host: Host;
  readonly #list: number;
  readonly #released: () => void;
  #threads: ThreadSummary[] = [];
  #head: ListHead = NOTHING;
  readonly #loads = new Waiters<void>();
  #settle = false;

  constructor(host: Host, frames: Frames, list: number, released: () => void) {
    super(frames, NOTHING);
    this.#host = host;
    this.#list = list;
    this.#released = released;
  }

  loadMore(): Promise<void> {
    const asked = this.#loads.any;
    const answer = this.#loads.wait();
    if (!asked) {
      this.#host.ask(this.#list, Wish.More);
      if (!this.#head.loadingMore) this.#done();
    }
    return answer;
  }

  release(): void {
    this.#released();
  }

  dispose(): void {
    this.#loads.reject(new ProblemError({ code: 'released', detail: 'The list was released.', status: 0 }));
  }

  /** Applies one patch of the core's. */
  apply(patch: ListPatch): void {
    switch (patch[0]) {
      case LIST.head:
        this.#head = patch[1];
        if (!patch[1].loadingMore) this.#done();
        break;
      case LIST.put:
        this.#put(patch[1], patch[2]);
        break;
      case LIST.remove:
        this.#threads = this.#threads.filter(thread => thread.id !== patch[1]);
        break;
    }
    this.touch();
  }

  protected override take(): ListSnapshot {
    const { error, ...head } = this.#head;
    return { ...head, ...(error ? { error: new ProblemError(error) } : {}), threads: this.#threads };
  }

  protected override afterPublish(): void {
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
