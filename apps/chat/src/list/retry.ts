//! One thing that is tried again later.

export class Retry {
  readonly #ms: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #isOpen = false;

  constructor(ms: number) {
    this.#ms = ms;
  }

  open(): void {
    this.#isOpen = true;
  }

  /** Nothing is tried any more, and nothing that is asked for after this. */
  close(): void {
    this.#isOpen = false;
    clearTimeout(this.#timer);
  }

  /** Takes the place of what was to be tried before. */
  later(attempt: () => void): void {
    clearTimeout(this.#timer);
    if (this.#isOpen) this.#timer = setTimeout(attempt, this.#ms);
  }
}
