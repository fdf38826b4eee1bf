//! Whether a server that gives no answer refuses the page's origin. The browser hides such a refusal from the page: it
//! looks the same as a server that is out of reach. Loaded when a request gets no answer: few pages are elsewhere.

import { ORIGIN_REFUSED, ProblemError } from '../words/problem.js';

/** What looks the same to a page. */
const OTHERWISE =
  'If it runs with that, it may refuse its own name (--allow-host), or a proxy answers while it is down.';
/** Milliseconds for which an answer holds, and in which one has to come. */
const HOLDS = 5_000;
const PATIENCE = 3_000;

export class OriginCheck {
  readonly #base: string;
  #asked = Number.NEGATIVE_INFINITY;
  #answer: Promise<ProblemError | undefined> = Promise.resolve(undefined);

  constructor(base: string) {
    this.#base = base;
  }

  /** The refusal of the page's own origin; nothing if the server is out of reach. Asked once for many who want to know. */
  refusal(own: string): Promise<ProblemError | undefined> {
    const now = Date.now();
    if (now - this.#asked >= HOLDS) {
      this.#asked = now;
      this.#answer = this.#ask(own);
    }
    return this.#answer;
  }

  async #ask(own: string): Promise<ProblemError | undefined> {
    // A form could send this, so the browser lets it through, with the origin, and says only that there was an answer.
    // A server that takes the origin has answered before, and is not asked.
    const init = { method: 'POST', mode: 'no-cors', credentials: 'omit' } as const;
    try {
      const answer = await fetch(`${this.#base}/info`, { ...init, signal: AbortSignal.timeout(PATIENCE) });
      if (answer.type !== 'opaque') return undefined;
    } catch {
      // Out of reach; or the server takes the origin, and forbids answers to be used in this way.
      return undefined;
    }
    return new ProblemError({
      code: ORIGIN_REFUSED,
      detail: `The server answers, but not to pages of ${own}.`,
      hint: `Start it with --allow-origin ${own}, or serve the page from its own address. ${OTHERWISE}`,
      status: 403,
    });
  }
}
