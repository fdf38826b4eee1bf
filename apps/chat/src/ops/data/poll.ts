//! One thing that is asked for again and again while somebody looks at it.
//!
//! States: idle (nobody looks), waiting (a timer runs), asking (one request is under way, never two), paused (the page is
//! hidden, or the reader said so). What was answered last stays, with its time, whatever comes after. Intervals double up to
//! [`SLOWEST`] while nobody answers, so that a node in trouble is not asked harder, and fall back with the first answer.
//! A refusal for want of a token stops it: asking again would change nothing, until there is another.

import type { Failure } from './failure';

/** Milliseconds between two questions at most. */
export const SLOWEST = 15_000;

/** What is known. */
export interface Known<T> {
  readonly data: T | undefined;
  /** When `data` came, by the page's clock. */
  readonly answeredAt: number | undefined;
  /** Why the last question got no answer; absent if it got one. */
  readonly failure: Failure | undefined;
}

/** What a poll has of the world. */
export interface Surroundings {
  now(): number;
  /** Calls back after so many milliseconds; what it returns takes that back. */
  later(ms: number, then: () => void): () => void;
}

const WORLD: Surroundings = {
  now: () => Date.now(),
  later: (ms, then) => {
    const timer = setTimeout(then, ms);
    return () => clearTimeout(timer);
  },
};

export class Poll<T> {
  readonly everyMs: number;
  readonly #ask: (signal: AbortSignal) => Promise<T>;
  readonly #world: Surroundings;
  readonly #listeners = new Set<() => void>();
  #known: Known<T> = { data: undefined, answeredAt: undefined, failure: undefined };
  #paused = false;
  #asking: AbortController | undefined;
  #forget: (() => void) | undefined;
  #failures = 0;

  constructor(ask: (signal: AbortSignal) => Promise<T>, everyMs: number, world: Surroundings = WORLD) {
    this.#ask = ask;
    this.everyMs = everyMs;
    this.#world = world;
  }

  readonly getSnapshot = (): Known<T> => this.#known;

  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    if (this.#listeners.size === 1) this.#go();
    return () => {
      this.#listeners.delete(listener);
      if (this.#listeners.size === 0) this.#stop();
    };
  };

  /** Nobody looks: nothing is asked. With the end of it the first question is asked at once. */
  pause(paused: boolean): void {
    if (this.#paused === paused) return;
    this.#paused = paused;
    if (paused) this.#stop();
    else this.#go();
  }

  /** Asks now: there is another token, or something was done. */
  again(): void {
    this.#stop();
    this.#failures = 0;
    if (!this.#paused && this.#listeners.size > 0) void this.#question();
  }

  get isWatched(): boolean {
    return this.#listeners.size > 0;
  }

  #go(): void {
    if (this.#paused || this.#listeners.size === 0 || this.#asking) return;
    // What is known well enough is not asked for again because somebody came back to it.
    const age = this.#known.answeredAt === undefined ? undefined : this.#world.now() - this.#known.answeredAt;
    if (age !== undefined && this.#failures === 0 && age < this.everyMs) this.#wait(this.everyMs - age);
    else void this.#question();
  }

  #stop(): void {
    this.#forget?.();
    this.#forget = undefined;
    this.#asking?.abort();
    this.#asking = undefined;
  }

  #wait(ms: number): void {
    this.#forget?.();
    this.#forget = this.#world.later(ms, () => void this.#question());
  }

  async #question(): Promise<void> {
    this.#forget?.();
    this.#forget = undefined;
    const asking = new AbortController();
    this.#asking = asking;
    try {
      const data = await this.#ask(asking.signal);
      if (this.#asking !== asking) return;
      this.#failures = 0;
      this.#set({ data, answeredAt: this.#world.now(), failure: undefined });
    } catch (error) {
      if (this.#asking !== asking) return;
      this.#failures += 1;
      this.#set({ ...this.#known, failure: error as Failure });
    }
    this.#asking = undefined;
    if (this.#known.failure?.kind === 'token') return;
    const ms =
      this.#failures === 0 ? this.everyMs : Math.min(this.everyMs * 2 ** (this.#failures - 1), SLOWEST);
    if (!this.#paused && this.#listeners.size > 0) this.#wait(ms);
  }

  #set(known: Known<T>): void {
    this.#known = known;
    for (const listener of [...this.#listeners]) listener();
  }
}
