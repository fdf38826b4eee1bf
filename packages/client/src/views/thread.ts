//! A thread's window on the host's side: patches in, stable row objects out.
//!
//! Room `views`: what is shown: a thread's window, the list, and messages while runs write them. It asks the host for
//! what it lacks, and knows no socket and no other tab.

import { Call } from '../core/core.js';
import type { Host } from '../core/host.js';
import { type Head, type Side, VIEW, type ViewPatch } from '../core/wire.js';
import { ECHO, Overlay, type Pending } from '../outbox/overlay.js';
import type { Frames } from '../page/frames.js';
import { Waiters } from '../page/promises.js';
import { FrameStore } from '../page/store.js';
import type { CachedWindow } from '../storage/records.js';
import type { Write } from '../transport/writes.js';
import { INVALID_ID, type Problem, ProblemError, RELEASED } from '../words/problem.js';
import { proseOf, sameRow } from '../words/rows.js';
import type {
  Anchor,
  LiveHandle,
  PreviewPart,
  Row,
  StreamHandle,
  ThreadHandle,
  ThreadSnapshot,
} from '../words/types.js';
import { Faults } from './faults.js';
import { LiveMessages } from './live.js';

/** Before anything is known. */
export const NOTHING = {
  status: 'loading',
  rows: [],
  firstIndex: 0,
  total: 0,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
} as const;

/** Who made a view. */
export interface ThreadOwner {
  /** One who showed it does so no more. */
  released(): void;
  /** It shows something else than before. */
  published?(snapshot: ThreadSnapshot): void;
}

export class ThreadView extends FrameStore<ThreadSnapshot> implements ThreadHandle {
  readonly threadId: string;
  readonly #host: Host;
  readonly #view: number;
  readonly #owner: ThreadOwner;
  readonly #overlay = new Overlay();
  /** What is held comes from this browser's storage. */
  #cached = false;
  #rows: readonly Row[] = [];
  #head: Head = NOTHING;
  readonly #faults = new Faults();
  /** Title and default branch as the thread's own resource gave them; events know better. */
  #meta: { title?: string; defaultBranch?: string } = {};
  readonly #live: LiveMessages;
  /** Messages of which a run has written more than text since their rows were shown. */
  readonly #written = new Set<string>();
  readonly #loads: Record<Side, Waiters<number>> = { older: new Waiters(), newer: new Waiters() };
  readonly #moves = new Waiters<void>();
  #settle: (() => void)[] = [];
  #echo: ReturnType<typeof setTimeout> | undefined;

  constructor(host: Host, frames: Frames, threadId: string, view: number, owner: ThreadOwner) {
    super(frames, NOTHING);
    this.#host = host;
    this.#live = new LiveMessages(frames);
    this.threadId = threadId;
    this.#view = view;
    this.#owner = owner;
  }

  async loadOlder(): Promise<{ added: number; hasOlder: boolean }> {
    const added = await this.#load('older');
    return { added, hasOlder: this.#head.hasOlder };
  }

  async loadNewer(): Promise<{ added: number; hasNewer: boolean }> {
    const added = await this.#load('newer');
    return { added, hasNewer: this.#head.hasNewer };
  }

  jumpTo(anchor: Anchor): Promise<void> {
    return this.#move(() => this.#host.jump(this.#view, anchor));
  }

  switchBranch(branch: string): Promise<void> {
    return this.#move(() => this.#host.call(Call.switchTo, this.#view, [branch]));
  }

  setFollow(follow: boolean): void {
    this.#host.call(follow ? Call.follow : Call.unfollow, this.#view);
  }

  stream(messageId: string): StreamHandle {
    return this.#live.of(messageId, () => this.#rows).all();
  }

  live(messageId: string): LiveHandle {
    return this.#live.of(messageId, () => this.#rows);
  }

  release(): void {
    this.#owner.released();
  }

  /** The parts of a row as they are now, streamed or not. */
  parts(row: Row): readonly PreviewPart[] {
    return (row.run && this.#live.known(row.id)?.parts()) || row.parts;
  }

  /** Shows what this browser has kept, unless the core knows better already. */
  restore(kept: CachedWindow): void {
    if (this.#head.status !== 'loading' || this.#rows.length > 0) return;
    const { id: _, keptAt: __, rows, title, ...head } = kept;
    this.#cached = true;
    this.#rows = rows;
    this.#head = { ...NOTHING, ...head, status: 'ready', hasOlder: (rows[0]?.depth ?? 0) > 0 };
    if (title !== undefined) this.#meta = { title, ...this.#meta };
    // A run may be writing one of them: its readers are to see it go on.
    this.#follow(rows);
    this.touch();
  }

  /** What the outbox has for this thread. */
  pend(pending: readonly Pending[]): void {
    this.#overlay.set(pending);
    this.touch();
  }

  /** The server has a write now; the log may not have brought it yet. */
  acknowledge(write: Write): void {
    this.#overlay.acknowledge(write);
    // What the log does not bring is to go, even if nothing else happens.
    clearTimeout(this.#echo);
    this.#echo = setTimeout(() => this.#overlay.echoes && this.touch(), ECHO);
    if (write.kind === 'create' && this.#head.status !== 'ready') this.jumpTo({ at: 'tip' }).catch(() => {});
    this.touch();
  }

  /** The client is closed, or nobody shows the view any more: no promise may stay open. */
  dispose(): void {
    clearTimeout(this.#echo);
    const gone = new ProblemError(RELEASED);
    for (const waiters of [this.#loads.older, this.#loads.newer, this.#moves]) waiters.reject(gone);
  }

  /** What the thread's own resource says. */
  describe(meta: { title?: string; defaultBranch?: string }): void {
    this.#meta = meta;
    this.touch();
  }

  /** Whether a request is for this thread's window. */
  reads(path: string): boolean {
    return path.startsWith(`/threads/${encodeURIComponent(this.threadId)}/`);
  }

  answered(fault: Problem | undefined): void {
    if (this.#faults.take(fault)) this.touch();
  }

  /** Applies one patch of the core's. */
  apply(patch: ViewPatch): void {
    switch (patch[0]) {
      case VIEW.head:
        if (this.#cached && patch[1].status === 'loading') return;
        this.#head = patch[1];
        if (patch[1].error) this.#fail(patch[1].error);
        break;
      case VIEW.reset:
        this.#reset(patch[1]);
        break;
      case VIEW.prepend:
        this.#rows = [...patch[1], ...this.#rows];
        this.#follow(patch[1]);
        break;
      case VIEW.append:
        this.#rows = [...this.#rows, ...patch[1]];
        this.#follow(patch[1]);
        break;
      case VIEW.dropFirst:
        this.#rows = this.#rows.slice(patch[1]);
        this.#follow([]);
        break;
      case VIEW.dropLast:
        this.#rows = this.#rows.slice(0, this.#rows.length - patch[1]);
        this.#follow([]);
        break;
      case VIEW.update:
        this.#update(patch[1]);
        break;
      case VIEW.remove:
        this.#rows = this.#rows.filter(row => row.id !== patch[1]);
        this.#follow([]);
        break;
      case VIEW.text:
        this.#live.known(patch[1])?.append(patch[2], patch[3]);
        return;
      case VIEW.part:
        // Text, reasoning and input that grows are not for the snapshot.
        if (!this.#live.known(patch[1])?.put(patch[2], patch[3])) return;
        if (proseOf(patch[3]) !== undefined || patch[3].type === 'step-start') return;
        this.#written.add(patch[1]);
        break;
      case VIEW.loaded:
        this.#loaded(patch[1], patch[2], patch[3]);
        return;
      case VIEW.stayed:
        this.#moves.reject(new ProblemError(patch[1]));
        return;
    }
    this.touch();
  }

  protected override take(): ThreadSnapshot {
    const { error, ...head } = this.#head;
    const first = this.#rows[0];
    return this.#overlay.over({
      ...this.#meta,
      ...head,
      ...(error ? { error: new ProblemError(error) } : this.#faults.said()),
      source: this.#cached ? 'cache' : 'live',
      rows: this.#rows,
      firstIndex: first?.depth ?? 0,
    });
  }

  protected override beforePublish(): void {
    this.#live.settle();
    if (this.#written.size === 0) return;
    const written = (row: Row) => row.run && this.#written.has(row.id);
    this.#rows = this.#rows.map(row => (written(row) ? { ...row, parts: this.parts(row) } : row));
    this.#written.clear();
  }

  protected override afterPublish(): void {
    const settle = this.#settle;
    this.#settle = [];
    for (const done of settle) done();
    this.#owner.published?.(this.getSnapshot());
  }

  #load(side: Side): Promise<number> {
    const waiters = this.#loads[side];
    const asked = waiters.any;
    const answer = waiters.wait();
    if (!asked) this.#host.call(side === 'older' ? Call.older : Call.newer, this.#view);
    return answer;
  }

  #loaded(side: Side, added: number, problem: Problem | null): void {
    this.#settle.push(() => {
      if (problem) this.#loads[side].reject(new ProblemError(problem));
      else this.#loads[side].resolve(added);
    });
    this.nudge();
  }

  #move(ask: () => boolean): Promise<void> {
    const moved = this.#moves.wait();
    if (!ask()) this.#moves.reject(new ProblemError(INVALID_ID));
    return moved;
  }

  #fail(problem: Problem): void {
    this.#settle.push(() => this.#moves.reject(new ProblemError(problem)));
  }

  /** A fresh window. Rows that did not change keep their identity. */
  #reset(rows: Row[]): void {
    this.#cached = false;
    const held = new Map(this.#rows.map(row => [row.id, row]));
    this.#rows = rows.map(row => {
      const before = held.get(row.id);
      return before && sameRow(before, row) ? before : row;
    });
    this.#follow(rows);
    if (rows.length > 0 || this.#head.status === 'ready') this.#settle.push(() => this.#moves.resolve());
  }

  #update(row: Row): void {
    this.#rows = this.#rows.map(held => (held.id === row.id ? row : held));
    this.#follow([row]);
  }

  /** The rows changed, by these among others: what runs write of them goes on from there, all else ends. */
  #follow(rows: readonly Row[]): void {
    this.#live.open(rows);
    this.#live.keep(this.#rows);
  }
}
