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

/** A block that still grows is shown as one up to its last whole line, or to where that was when it was this long. */
const LONGEST_GROWING = 16_384;
/** Before the first publish of a text: there is something to show even if it is nothing. */
const NOTHING_SHOWN = -1;
const FENCE_LINE = /^\s*(?:(?:[-*+>]|\d{1,9}[.)])\s+)*(`{3,}|~{3,})/;

/**
 * How much of an unsettled block may be shown as Markdown already: its whole lines, those of an open fence not, which
 * look the same without. A long list thus is a list while it grows, and does not move when it is complete.
 */
export function wholeLines(block: string): number {
  if (block.length > LONGEST_GROWING) return 0;
  let [whole, fence, start] = [0, '', 0];
  for (let end = block.indexOf('\n'); end >= 0; end = block.indexOf('\n', start)) {
    const mark = FENCE_LINE.exec(block.slice(start, end))?.[1]?.charAt(0) ?? '';
    if (fence === '') fence = mark;
    else if (mark === fence) fence = '';
    start = end + 1;
    if (fence === '') whole = start;
  }
  return whole;
}

/** How many milliseconds settled blocks wait for their publish. */
export function waitFor(waiting: number, publishes: number): number {
  return waiting >= ENOUGH ? FIRST_WAIT : Math.min(LONGEST_WAIT, FIRST_WAIT * GROWTH ** publishes);
}

/** A store of settled blocks, for `useSyncExternalStore`; reads its stream while someone listens. */
export class BlockStream {
  private splitter = new BlockSplitter();
  private blocks: readonly string[] = [];
  /** Settled blocks among those, and what the last one of them shows of the block after. */
  private settled = 0;
  private growing = '';
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
    const shown = new TailText(element);
    this.shown = shown;
    this.writeTail();
    return () => {
      shown.close();
      this.element = undefined;
      this.shown = undefined;
    };
  };

  /** Makes the tail start where the published blocks end. Call it in the commit that shows them. */
  writeTail(): void {
    if (!this.element || !this.shown) return;
    const unsettled = this.splitter.settled.slice(this.settled).join('') + this.splitter.tail;
    const waiting = unsettled.slice(this.growing.length);
    const start = waiting.slice(0, LONGEST_START);
    const fence = /^\s*(?:`{3,}|~{3,})[^\n]*(\n?)/.exec(start);
    const undecided = fence ? fence[1] !== '\n' : /^\s*(?:`{0,2}|~{0,2})$/.test(start);
    this.certain = !undecided || waiting.length > LONGEST_START;
    this.element.dataset.kind = fence ? 'code' : 'text';
    this.shown.replace(fence ? waiting.slice(fence[0].length) : waiting.replace(/^\n+/, ''));
  }

  private reset(text: string): void {
    this.splitter = new BlockSplitter();
    this.settled = NOTHING_SHOWN;
    this.growing = '';
    this.splitter.push(text);
    this.publish();
    this.writeTail();
  }

  private append(delta: string): void {
    this.splitter.push(delta);
    if (this.certain) this.shown?.append(delta);
    else this.writeTail();
    // A line that ended may be shown, which `publish` decides.
    if (this.splitter.settled.length > this.settled || delta.includes('\n')) this.schedule();
  }

  private schedule(): void {
    const waiting = this.splitter.settled.length - this.settled;
    const due = this.last + waitFor(waiting, this.publishes) - performance.now();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.publish(), Math.max(0, due));
  }

  private publish(): void {
    this.cancel();
    const { settled, tail } = this.splitter;
    // What is shown as Markdown stays so: of a block that has grown too long, no more is.
    const tooLong = settled.length === this.settled && tail.length > LONGEST_GROWING;
    const growing = tooLong ? this.growing : tail.slice(0, wholeLines(tail));
    const same = settled.length === this.settled && growing === this.growing;
    const empty = settled.length === 0 && growing === '' && this.blocks.length === 0;
    this.settled = settled.length;
    if (same || empty) return;
    this.growing = growing;
    this.blocks = growing.trim() === '' ? settled.slice() : [...settled, growing];
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
