//! When things are shown: stores at most once a frame, streamed text at 20 to 30 frames a second, nothing
//! while the page is hidden, everything on return.
//!
//! Room `page`: when things happen on a page: its frames, its events, promises that are waited for, and the stores that
//! publish with a frame. It knows nothing of threads, servers or tabs.

/** Something that shows its state when it is told to. */
export interface Publisher {
  publish(): void;
}

/** What the scheduler needs of its surroundings; a test brings its own. */
export interface FrameSource {
  request(callback: (now: number) => void): void;
  now(): number;
  hidden(): boolean;
  /** Calls back whenever the page is shown again. */
  onShown(callback: () => void): void;
}

/** Between two flushes of streams: 30 a second, and 20 if the page does not keep up. */
const FAST = 33;
const SLOW = 50;
/** A flush longer than this, or a frame later than this, says that the page does not keep up. */
const LONG_FLUSH = 8;
const LATE_FRAME = 50;
/** Frames do not come on the millisecond: a flush may be this much early rather than a frame late. */
const SLOP = 4;

export class Frames {
  readonly #source: FrameSource;
  readonly #stores = new Set<Publisher>();
  readonly #streams = new Set<Publisher>();
  #requested = 0;
  #waiting = false;
  #flushed = Number.NEGATIVE_INFINITY;
  #interval = FAST;

  constructor(source: FrameSource) {
    this.#source = source;
    source.onShown(() => this.#show(source.now(), true));
  }

  /** The store shows its state in the next frame. */
  mark(store: Publisher): void {
    this.#stores.add(store);
    this.#request();
  }

  /** The stream shows its text in one of the next frames. */
  markStream(stream: Publisher): void {
    this.#streams.add(stream);
    this.#request();
  }

  #request(): void {
    if (this.#waiting || this.#source.hidden()) return;
    this.#waiting = true;
    this.#requested = this.#source.now();
    this.#source.request(now => this.#frame(now));
  }

  #frame(now: number): void {
    this.#waiting = false;
    const late = this.#source.now() - this.#requested > LATE_FRAME;
    this.#show(now, false, late);
    if (this.#stores.size > 0 || this.#streams.size > 0) this.#request();
  }

  #show(now: number, all: boolean, late = false): void {
    if (this.#source.hidden()) return;
    const stores = [...this.#stores];
    this.#stores.clear();
    for (const store of stores) store.publish();
    if (this.#streams.size === 0 || (!all && now - this.#flushed < this.#interval - SLOP)) return;
    const started = this.#source.now();
    const streams = [...this.#streams];
    this.#streams.clear();
    for (const stream of streams) stream.publish();
    this.#flushed = now;
    this.#interval = late || this.#source.now() - started > LONG_FLUSH ? SLOW : FAST;
  }
}

/** The browser's frames; without a page (a test, a worker), timers at about the same pace. */
export function pageFrames(): FrameSource {
  const page = typeof document === 'object' ? document : undefined;
  return {
    request: callback => {
      const { requestAnimationFrame: ask } = globalThis;
      // Not before what came is in its stores: with several tabs on few cores Chromium takes a millisecond to be asked.
      if (ask) queueMicrotask(() => ask(callback));
      else setTimeout(() => callback(performance.now()), 16);
    },
    now: () => performance.now(),
    hidden: () => page?.visibilityState === 'hidden',
    onShown: callback => {
      page?.addEventListener('visibilitychange', () => {
        if (page.visibilityState === 'visible') callback();
      });
    },
  };
}
