//! Asks again and again: at the pace the answers set, not while the page is hidden, ever more seldom while
//! nothing answers, and at once when the network or the reader is back.

import { ProblemError } from '../words/problem.js';

/** Milliseconds. The wait after a failure is drawn from zero to a limit that doubles, up to the longest. */
const FIRST_LIMIT = 1_000;
const LONGEST_LIMIT = 30_000;

/** What polling needs of the page; a test brings its own. */
export interface Surroundings {
  hidden(): boolean;
  /** From 0 to 1. */
  random(): number;
  /** Calls back when the page is shown or the network returns; the returned function stops that. */
  onWake(callback: () => void): () => void;
}

export class Poller {
  readonly #surroundings: Surroundings;
  readonly #poll: () => Promise<number>;
  readonly #unlisten: () => void;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #state: 'waiting' | 'polling' | 'polling, then again' | 'closed' = 'waiting';

  /** `poll` resolves with the milliseconds until the next one; where it rejects the poller backs off. */
  constructor(surroundings: Surroundings, poll: () => Promise<number>) {
    this.#surroundings = surroundings;
    this.#poll = poll;
    this.#unlisten = surroundings.onWake(() => this.kick());
  }

  /** Polls now, or as soon as the poll under way is over: that one may have been answered too early. */
  kick(): void {
    if (this.#state === 'polling') this.#state = 'polling, then again';
    if (this.#state === 'waiting') void this.#run();
  }

  close(): void {
    this.#state = 'closed';
    clearTimeout(this.#timer);
    this.#unlisten();
  }

  async #run(): Promise<void> {
    clearTimeout(this.#timer);
    // Nobody looks: the wake on return polls.
    if (this.#surroundings.hidden()) return;
    this.#state = 'polling';
    const wait = await this.#poll().then(
      wait => {
        this.#failures = 0;
        return wait;
      },
      error => this.#backOff(error),
    );
    this.#next(wait);
  }

  #next(wait: number): void {
    // The state may have changed while the poll was under way, which the compiler does not see.
    const state = this.#state as string;
    if (state === 'closed') return;
    this.#state = 'waiting';
    if (state === 'polling, then again') void this.#run();
    else this.#timer = setTimeout(() => void this.#run(), wait);
  }

  #backOff(error: unknown): number {
    const limit = Math.min(LONGEST_LIMIT, FIRST_LIMIT * 2 ** this.#failures);
    this.#failures += 1;
    const asked = error instanceof ProblemError ? (error.retryAfterMs ?? 0) : 0;
    return asked + this.#surroundings.random() * limit;
  }
}

/** The browser's page; without one (a test, a server) never hidden. */
export function pageSurroundings(): Surroundings {
  const page = typeof document === 'object' ? document : undefined;
  return {
    hidden: () => page?.visibilityState === 'hidden',
    random: Math.random,
    onWake: callback => {
      const listening = new AbortController();
      const { signal } = listening;
      globalThis.addEventListener?.('online', callback, { signal });
      globalThis.addEventListener?.('pageshow', callback, { signal });
      page?.addEventListener(
        'visibilitychange',
        () => {
          if (page.visibilityState === 'visible') callback();
        },
        { signal },
      );
      return () => listening.abort();
    },
  };
}
