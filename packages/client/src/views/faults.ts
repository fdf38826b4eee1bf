//! Reads that a server does not answer for a fault of its own, again and again. The core goes on asking.

import { type Problem, ProblemError } from '../words/problem.js';

/** Faults in a row that are no chance: one passes, and a second may come of the same restart. */
const MANY = 3;

export class Faults {
  #count = 0;
  #error: ProblemError | undefined;

  /** Whether what is to be said differs from now on. */
  take(fault: Problem | undefined): boolean {
    const before = this.#error;
    this.#count = fault ? this.#count + 1 : 0;
    if (!fault) this.#error = undefined;
    else if (this.#count === MANY) this.#error = new ProblemError(fault);
    return before !== this.#error;
  }

  /** What is to be said, for a snapshot. */
  said(): { error?: ProblemError } {
    return this.#error ? { error: this.#error } : {};
  }
}
