//! What a client reports of itself, as `POST /v1/rum` takes it: numbers alone. Bounds: [`SAMPLES`] samples of at most
//! [`THREADS`] threads, [`BYTES`] in all; the oldest samples give way.
//!
//! Room `rum`: what a client reports of itself and of its page. It is loaded after the start, by itself, and shows
//! nothing.

/** Samples of a report. */
export const SAMPLES = 64;
/** Threads of a sample. */
const THREADS = 16;
/** Bytes of a report; the server takes 16 KiB. */
const BYTES = 15_000;

/** One look at a client. What was not measured is left out. */
export interface Sample {
  readonly coreBytes?: number;
  readonly threads?: readonly { readonly rows: number; readonly bytes?: number }[];
  readonly renderMs?: number;
  readonly inpMs?: number;
  readonly longTasks?: number;
  readonly heapBytes?: number;
  readonly crossTabMs?: number;
  readonly loadMs?: number;
  readonly switchMs?: number;
  readonly renders?: number;
  readonly scrollMs?: number;
  readonly reconnects?: number;
}

/** Samples that wait to be sent. */
export class Samples {
  #waiting: string[] = [];

  get isEmpty(): boolean {
    return this.#waiting.length === 0;
  }

  /** Keeps a sample, unless there is nothing in it. */
  add(sample: Sample): void {
    const threads = sample.threads?.slice(0, THREADS);
    const json = JSON.stringify({ ...sample, threads: threads?.length ? threads : undefined }, plain);
    if (json !== '{}') this.#waiting.push(json);
    this.#waiting = this.#waiting.slice(-SAMPLES);
    while (this.#bytes() > BYTES) this.#waiting.shift();
  }

  /** All that waits, as a body; it waits no longer. */
  take(engine: 'core' | 'direct'): string {
    const samples = this.#waiting.join();
    this.#waiting = [];
    return `{"engine":"${engine}","samples":[${samples}]}`;
  }

  #bytes(): number {
    return this.#waiting.reduce((sum, json) => sum + json.length + 1, 40);
  }
}

/** Numbers in tenths at the finest: more says nothing, and could tell one browser from another. No number is left out. */
function plain(_: string, value: unknown): unknown {
  if (typeof value !== 'number') return value;
  return Number.isFinite(value) && value >= 0 ? Math.round(value * 10) / 10 : undefined;
}
