//! What a run's writer has said so far, for a body that is sent as it grows and from any line on again.

/** Milliseconds of silence after which a body says that its writer is there. A lease lasts fifteen seconds. */
const BEAT = 5_000;

export class Lines {
  readonly #lines: string[] = [];
  readonly #waiting = new Set<() => void>();
  #over = false;

  get over(): boolean {
    return this.#over;
  }

  push(line: unknown): void {
    this.#lines.push(`${JSON.stringify(line)}\n`);
    this.#wake();
  }

  end(): void {
    this.#over = true;
    this.#wake();
  }

  /** The lines from one on, as a body that ends when they do. A blank line says nothing but that somebody is there. */
  from(first: number): ReadableStream<Uint8Array> {
    const encoder = new TextEncoder();
    let at = first;
    return new ReadableStream(
      {
        pull: async controller => {
          if (at >= this.#lines.length && !this.#over) await this.#more();
          const lines = this.#lines.slice(at);
          at += lines.length;
          if (lines.length > 0) controller.enqueue(encoder.encode(lines.join('')));
          else if (this.#over) controller.close();
          else controller.enqueue(encoder.encode('\n'));
        },
      },
      { highWaterMark: 0 },
    );
  }

  /** Resolves when there is more, or after a while. */
  #more(): Promise<void> {
    return new Promise(resolve => {
      const done = () => {
        clearTimeout(timer);
        this.#waiting.delete(done);
        resolve();
      };
      const timer = setTimeout(done, BEAT);
      this.#waiting.add(done);
    });
  }

  #wake(): void {
    for (const wake of [...this.#waiting]) wake();
  }
}
