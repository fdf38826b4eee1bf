//! One run that is written from outside. What is said is kept until the run is over and sent again after a connection broke
//! or a node went away, under numbers by which the server takes each line once.

import { Lines } from './lines.js';

/** A chunk of the AI SDK's UI message stream. */
export type UIChunk = { readonly type: string };

const OUTCOMES = ['complete', 'stopped', 'interrupted', 'failed'] as const;

/** How a run ended. */
export type RunOutcome = (typeof OUTCOMES)[number];

/** Attempts in a row that bring nothing. */
const TRIES = 8;
/** Milliseconds: a wait between two of them is drawn from zero to a limit that doubles, up to the longest. */
const FIRST_LIMIT = 200;
const LONGEST_LIMIT = 5_000;

/** Chunks that end a run; after one of them nothing is said. */
const ENDS = new Set(['finish', 'abort', 'error']);

export interface RunNeeds {
  readonly url: string;
  readonly id: string;
  readonly token: string;
  readonly request: typeof fetch;
  readonly refusal: (response: Response) => Promise<Error & { code: string }>;
}

export class Run {
  readonly #needs: RunNeeds;
  readonly #stopped = new AbortController();
  readonly #producer = crypto.randomUUID();

  constructor(needs: RunNeeds) {
    this.#needs = needs;
  }

  get id(): string {
    return this.#needs.id;
  }

  /** The right to write this run, for another process. */
  get token(): string {
    return this.#needs.token;
  }

  /**
   * Aborts when the run is over: somebody stopped it, its thread is gone, or your answer is whole. Give it to your model.
   */
  get signal(): AbortSignal {
    return this.#stopped.signal;
  }

  /**
   * Writes an answer, as `streamText(…).toUIMessageStream()` gives it, and ends the run with it. Resolves when the run is
   * over, however it ended; a source that fails ends it as failed.
   *
   * @throws ThreadmillError if the server takes nothing, such as `unauthorized`; an error of the network after eight attempts.
   */
  async write(chunks: AsyncIterable<UIChunk> | ReadableStream<UIChunk>): Promise<RunOutcome> {
    const lines = new Lines();
    const reading = this.#read(chunks, lines);
    try {
      return await this.#send(lines);
    } finally {
      // Whoever still reads the model is told, and what the source says of that is nobody's to hear.
      this.#stopped.abort();
      lines.end();
      await reading;
    }
  }

  async #read(chunks: AsyncIterable<UIChunk> | ReadableStream<UIChunk>, lines: Lines): Promise<void> {
    try {
      for await (const chunk of iterate(chunks, this.signal)) {
        if (lines.over) return;
        lines.push(chunk);
        if (ENDS.has(chunk.type)) return lines.end();
      }
      if (!lines.over) lines.push({ type: 'finish' });
    } catch (error) {
      if (!lines.over) lines.push({ type: 'error', errorText: messageOf(error) });
    }
    lines.end();
  }

  async #send(lines: Lines): Promise<RunOutcome> {
    let next = 0;
    for (let failures = 0; ; failures++) {
      if (failures > 0) await wait(failures);
      const response = await this.#attempt(lines, next).catch((error: unknown) => {
        if (failures + 1 >= TRIES) throw error;
        return undefined;
      });
      if (response?.ok) {
        const { seq, run } = (await response.json()) as {
          seq: number | null;
          run: { outcome: RunOutcome } | null;
        };
        if (run) return run.outcome;
        failures = 0;
        next = (seq ?? -1) + 1;
      } else if (response) {
        const refusal = await this.#needs.refusal(response);
        if (refusal.code === 'run_ended') return outcomeOf(response);
        const passes = response.status === 429 || response.status >= 500;
        if (!passes || failures + 1 >= TRIES) throw refusal;
      }
    }
  }

  #attempt(lines: Lines, next: number): Promise<Response> {
    const init: RequestInit & { duplex: 'half' } = {
      method: 'POST',
      headers: {
        'content-type': 'application/x-ndjson',
        'threadmill-run-token': this.#needs.token,
        'producer-id': this.#producer,
        'producer-epoch': '0',
        'producer-seq': String(next),
      },
      body: lines.from(next),
      duplex: 'half',
    };
    return this.#needs.request(this.#needs.url, init);
  }
}

/** What comes, until it ends or the signal says that nobody wants it any more. */
async function* iterate(
  chunks: AsyncIterable<UIChunk> | ReadableStream<UIChunk>,
  signal: AbortSignal,
): AsyncGenerator<UIChunk> {
  const iterator = (chunks as AsyncIterable<UIChunk>)[Symbol.asyncIterator]();
  const gone = new Promise<undefined>(resolve => {
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  try {
    for (;;) {
      const next = await Promise.race([iterator.next(), gone]);
      if (!next || next.done) return;
      yield next.value;
    }
  } finally {
    // Not awaited: a source that hangs must not hold whoever writes.
    void iterator.return?.()?.catch?.(() => {});
  }
}

/** How a run ended that takes nothing any more. */
function outcomeOf(response: Response): RunOutcome {
  const said = response.headers.get('threadmill-outcome');
  return OUTCOMES.find(outcome => outcome === said) ?? 'stopped';
}

function messageOf(error: unknown): string {
  return error instanceof Error && error.message ? error.message : 'The answer failed.';
}

function wait(failures: number): Promise<void> {
  const limit = Math.min(LONGEST_LIMIT, FIRST_LIMIT * 2 ** (failures - 1));
  return new Promise(resolve => setTimeout(resolve, Math.random() * limit));
}
