//! One message's stream as settled blocks and a tail. The blocks are published seldom; the tail is written past React.

import type { StreamHandle } from '@threadmill/client';
import { BlockSplitter } from './block-splitter.js';
import { TailText } from './tail-text.js';

/** Blocks wait this long at first. */
const FIRST_WAIT = 1_000;
/** Each publish makes the next wait longer, up to this: a long answer costs few renders, a short one looks done soon. */
const LONGEST_WAIT = 4_000;
const GROWTH = 1.5;
const ENOUGH = 4;
/** A tail that is longer begins with no fence that could still be recognised. */
const LONGEST_START = 1_024;

/** How many milliseconds settled blocks wait for their publish. */
export function waitFor(waiting: number, publishes: number): number {
  return waiting >= ENOUGH ? FIRST_WAIT : Math.min(LONGEST_WAIT, FIRST_WAIT * GROWTH ** publishes);
}

/** A store of settled blocks, for `useSyncExternalStore`; reads its stream while someone listens. */
export class BlockStream {
  private splitter = new BlockSplitter();
  private blocks: readonly string[] = [];
  private publishes = 0;
  private last = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private element: HTMLElement | undefined;
  private shown: TailText | undefined;
  /** Whether the tail's start is known to be text, or a fence whose first line, which is hidden, is complete. */
  private certain = false;
  private readonly listeners = new Set<() => void>();
  private detach: (() => void) | undefined;

  constructor(private readonly stream: StreamHandle) {}

  readonly getSnapshot = (): readonly string[] => this.blocks;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.listeners.add(listener);
    this.detach ??= this.stream.attach({
      reset: text => this.reset(text),
      append: delta => this.append(delta),
      end: () => this.cancel(),
    });
    return () => {
      this.listeners.delete(listener);
      if (this.listeners.size === 0) this.stop();
    };
  };

  /** The element that shows what is not published yet. */
  readonly tail = (element: HTMLElement | null): (() => void) | undefined => {
    if (!element) return;
    this.element = element;
    this.shown = new TailText(element);
    this.writeTail();
    return () => {
      this.element = undefined;
      this.shown = undefined;
    };
  };

  /** Makes the tail start where the published blocks end. Call it in the commit that shows them. */
  writeTail(): void {
    if (!this.element || !this.shown) return;
    const waiting = this.splitter.settled.slice(this.blocks.length).join('') + this.splitter.tail;
    const start = waiting.slice(0, LONGEST_START);
    const fence = /^\s*(?:`{3,}|~{3,})[^\n]*(\n?)/.exec(start);
    const undecided = fence ? fence[1] !== '\n' : /^\s*(?:`{0,2}|~{0,2})$/.test(start);
    this.certain = !undecided || waiting.length > LONGEST_START;
    this.element.dataset.kind = fence ? 'code' : 'text';
    this.shown.replace(fence ? waiting.slice(fence[0].length) : waiting.replace(/^\n+/, ''));
  }

  private reset(text: string): void {
    this.splitter = new BlockSplitter();
    this.splitter.push(text);
    this.publish();
    this.writeTail();
  }

  private append(delta: string): void {
    this.splitter.push(delta);
    if (this.certain) this.shown?.append(delta);
    else this.writeTail();
    if (this.splitter.settled.length > this.blocks.length) this.schedule();
  }

  private schedule(): void {
    const waiting = this.splitter.settled.length - this.blocks.length;
    const due = this.last + waitFor(waiting, this.publishes) - performance.now();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.publish(), Math.max(0, due));
  }

  private publish(): void {
    this.cancel();
    if (this.splitter.settled.length === this.blocks.length && this.blocks.length === 0) return;
    this.blocks = this.splitter.settled.slice();
    this.publishes += 1;
    this.last = performance.now();
    for (const listener of this.listeners) listener();
  }

  private cancel(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private stop(): void {
    this.cancel();
    this.detach?.();
    this.detach = undefined;
  }
}
