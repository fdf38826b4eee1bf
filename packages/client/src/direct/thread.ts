//! A thread's branch, whole and polled.

import type { Frames } from '../page/frames.js';
import { FrameStore } from '../page/store.js';
import type { Access } from '../transport/access.js';
import { LiveMessages } from '../views/live.js';
import { ProblemError, unreachable } from '../words/problem.js';
import type { Anchor, LiveHandle, StreamHandle, ThreadHandle, ThreadSnapshot } from '../words/types.js';
import { Poller, type Surroundings } from './poller.js';
import { branchOf, read, readTip, readWhole, type ThreadJson } from './read.js';
import { Whole } from './whole.js';

/** Milliseconds between polls: while nobody writes, and while a run does. */
const IDLE = 2_000;
const RUNNING = 500;
/** Milliseconds. A tip does not tell what happened before it, so after a change the whole is read once more. */
const SETTLE = 10_000;

const NOTHING: ThreadSnapshot = {
  status: 'loading',
  rows: [],
  firstIndex: 0,
  total: 0,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
};

/** What the view needs of its client. */
export interface ThreadOwner {
  readonly access: Access;
  readonly frames: Frames;
  readonly surroundings: Surroundings;
  /** Lets the status follow a poll. */
  watch<T>(poll: Promise<T>): Promise<T>;
  /** Counts windows that were read. */
  windows(count: number): void;
}

export class DirectThread extends FrameStore<ThreadSnapshot> implements ThreadHandle {
  readonly threadId: string;
  readonly #owner: ThreadOwner;
  readonly #released: () => void;
  readonly #live: LiveMessages;
  readonly #poller: Poller;
  #branch: string | undefined;
  #whole: Whole | undefined;
  #meta: { title?: string; defaultBranch?: string } = {};
  #failure: { status: 'error' | 'deleted'; error?: ProblemError } | undefined;
  /** When the whole has to be read again; none if nothing changed since it was. */
  #settleAt: number | undefined;
  /** Counts the moves to other branches: what was asked before one is of no use after it. */
  #turn = 0;
  #shown: { resolve(): void; reject(error: Error): void }[] = [];

  constructor(owner: ThreadOwner, threadId: string, branch: string | undefined, released: () => void) {
    super(owner.frames, NOTHING);
    this.#owner = owner;
    this.threadId = threadId;
    this.#branch = branch;
    this.#released = released;
    this.#live = new LiveMessages(owner.frames);
    this.#poller = new Poller(owner.surroundings, () => this.#poll());
    this.#poller.kick();
  }

  /** Everything is loaded. */
  async loadOlder(): Promise<{ added: number; hasOlder: boolean }> {
    return { added: 0, hasOlder: false };
  }

  /** As `loadOlder`. */
  async loadNewer(): Promise<{ added: number; hasNewer: boolean }> {
    return { added: 0, hasNewer: false };
  }

  /** Every place of this branch is loaded; a message of another branch leads there. */
  async jumpTo(anchor: Anchor): Promise<void> {
    if (anchor.at !== 'message' || this.#whole?.rows.some(row => row.id === anchor.id)) return;
    const turn = this.#turn;
    const branch = await branchOf(this.#owner.access, this.threadId, anchor.id);
    if (turn === this.#turn) await this.switchBranch(branch);
  }

  async switchBranch(branch: string): Promise<void> {
    const turn = ++this.#turn;
    const pages = await readWhole(this.#owner.access, this.threadId, branch);
    this.#owner.windows(pages.length);
    if (turn !== this.#turn) return;
    const shown = new Promise<void>((resolve, reject) => {
      this.#shown.push({ resolve, reject });
    });
    this.#show(new Whole(pages, this.#whole));
    this.#poller.kick();
    await shown;
  }

  setFollow(): void {
    // The whole branch is shown, its end included.
  }

  stream(messageId: string): StreamHandle {
    return this.#live.of(messageId, () => this.#whole?.rows ?? []).all();
  }

  live(messageId: string): LiveHandle {
    return this.#live.of(messageId, () => this.#whole?.rows ?? []);
  }

  release(): void {
    this.#released();
  }

  /** A write of this page may have changed it. */
  refresh(): void {
    this.#poller.kick();
  }

  dispose(): void {
    this.#turn += 1;
    this.#poller.close();
    const gone = new ProblemError({ code: 'released', detail: 'The view was released.', status: 0 });
    for (const waiting of this.#shown) waiting.reject(gone);
    this.#shown = [];
  }

  protected override take(): ThreadSnapshot {
    const whole = this.#whole;
    return {
      ...NOTHING,
      ...this.#meta,
      ...(whole ? { status: 'ready', source: 'live', branch: whole.branch } : {}),
      ...(this.#failure ?? {}),
      rows: whole?.rows ?? [],
      firstIndex: whole?.rows[0]?.depth ?? 0,
      total: whole?.total ?? 0,
      ...(whole?.run ? { run: whole.run } : {}),
    };
  }

  protected override beforePublish(): void {
    this.#live.settle();
  }

  protected override afterPublish(): void {
    const shown = this.#shown;
    this.#shown = [];
    for (const waiting of shown) waiting.resolve();
  }

  async #poll(): Promise<number> {
    const turn = this.#turn;
    try {
      await this.#owner.watch(this.#read(turn));
    } catch (error) {
      if (turn === this.#turn) this.#fail(error instanceof ProblemError ? error : unreachable());
      throw error;
    }
    return this.#whole?.run ? RUNNING : IDLE;
  }

  async #read(turn: number): Promise<void> {
    const { access } = this.#owner;
    const whole = this.#whole;
    const due = this.#settleAt !== undefined && Date.now() >= this.#settleAt && !whole?.run;
    if (whole && !due) {
      const tip = await readTip(access, this.threadId, whole.branch);
      this.#owner.windows(1);
      if (turn !== this.#turn) return;
      const outcome = whole.merge(tip);
      if (outcome === 'same') return this.#recover();
      if (outcome === 'merged') {
        this.#settleAt = Date.now() + SETTLE;
        return this.#show(whole);
      }
    }
    const path = `/threads/${encodeURIComponent(this.threadId)}`;
    const [pages, { thread }] = await Promise.all([
      readWhole(access, this.threadId, whole?.branch ?? this.#branch),
      read<ThreadJson>(access, path),
    ]);
    this.#owner.windows(pages.length);
    if (turn !== this.#turn) return;
    this.#settleAt = undefined;
    this.#meta = { title: thread.title, defaultBranch: thread.defaultBranch };
    this.#show(new Whole(pages, whole));
  }

  #show(whole: Whole): void {
    this.#whole = whole;
    this.#branch = whole.branch;
    this.#failure = undefined;
    this.#live.open(whole.rows);
    this.#live.keep(whole.rows);
    this.touch();
  }

  /** The server answers again, and nothing has changed. */
  #recover(): void {
    if (!this.#failure) return;
    this.#failure = undefined;
    this.touch();
  }

  /** What was shown stays, unless it is gone; without anything to show the failure is all there is. */
  #fail(error: ProblemError): void {
    const gone = error.code === 'thread_not_found' && this.#whole !== undefined;
    if (gone) {
      this.#whole = undefined;
      this.#live.keep([]);
      this.#failure = { status: 'deleted' };
    } else if (!this.#whole && this.#failure?.status !== 'deleted') {
      this.#failure = { status: 'error', error };
    } else {
      return;
    }
    this.touch();
  }
}
