//! Code to coloured spans. The highlighter is in a worker, which starts with the first code block and has a second for
//! each: code that takes it longer stays plain.

import { isCostly } from '../text/layout-cost';
import type { CodeNode, ColourAnswer, ColourJob } from './colour-job';

/** Longer code stays plain, in letters and in lines: what is coloured is laid out as one. */
const LONGEST = 40_000;
const MOST_LINES = 2_000;
/** The language of short unnamed code is guessed; of long code that costs too much. */
const LONGEST_GUESS = 4_000;
const KEPT = 200;
/** Codes that wait for their turn; of more, those that were asked for first stay plain. */
const WAITING = 200;
/** Milliseconds for one code. Usual code takes 1 to 20. */
const A_CODE = 1_000;
/** Milliseconds for the worker's script to come. */
const LOADING = 15_000;

/** Nothing is kept of code that stays plain, so that it is not tried again. */
const cache = new Map<string, readonly CodeNode[] | undefined>();

const NAMES: ReadonlyMap<string, string> = new Map([
  ['js', 'JavaScript'],
  ['javascript', 'JavaScript'],
  ['jsx', 'JSX'],
  ['ts', 'TypeScript'],
  ['typescript', 'TypeScript'],
  ['tsx', 'TSX'],
  ['py', 'Python'],
  ['python', 'Python'],
  ['rs', 'Rust'],
  ['rust', 'Rust'],
  ['cpp', 'C++'],
  ['cs', 'C#'],
  ['csharp', 'C#'],
  ['html', 'HTML'],
  ['css', 'CSS'],
  ['json', 'JSON'],
  ['sql', 'SQL'],
  ['php', 'PHP'],
  ['yaml', 'YAML'],
  ['yml', 'YAML'],
  ['toml', 'TOML'],
  ['sh', 'Shell'],
  ['bash', 'Shell'],
]);

/** How a fence's language is called on the page. */
export function languageName(language: string): string {
  if (language === '') return 'Code';
  return NAMES.get(language.toLowerCase()) ?? language.charAt(0).toUpperCase() + language.slice(1, 24);
}

const keyOf = (code: string, language: string) => `${language.toLowerCase()}\n${code}`;

/** The spans, if this code was coloured before: a row that comes back looks as it did at once. */
export function cachedHighlight(code: string, language: string): readonly CodeNode[] | undefined {
  return cache.get(keyOf(code, language));
}

/**
 * Calls back with the spans; not if the language is unknown, or the code too long or too hard. Whoever shows the code no
 * more calls what is returned: nobody waits behind code that is not seen.
 */
export function highlight(
  code: string,
  language: string,
  found: (nodes: readonly CodeNode[]) => void,
): () => void {
  const key = keyOf(code, language);
  const known = cache.get(key);
  if (known) found(known);
  if (cache.has(key) || !isColourable(code, language)) return () => {};
  return queue.colour(code, language.toLowerCase(), nodes => nodes && found(nodes));
}

function isColourable(code: string, language: string): boolean {
  if (code.length > (language === '' ? LONGEST_GUESS : LONGEST) || code.trim() === '') return false;
  return code.split('\n', MOST_LINES).length < MOST_LINES && !isCostly(code);
}

function remember({ code, language }: ColourJob, nodes: readonly CodeNode[] | undefined): void {
  cache.set(keyOf(code, language), nodes);
  const oldest = cache.keys().next();
  if (cache.size > KEPT && !oldest.done) cache.delete(oldest.value);
}

type Done = (nodes: readonly CodeNode[] | undefined) => void;

interface Job extends ColourJob {
  /** Who waits for it. */
  readonly wanted: Set<Done>;
}

/**
 * Gives a worker one job at a time, and another worker the next if that takes too long. What was asked for last is coloured
 * first: it is what the reader has come to.
 */
export class ColourQueue {
  private readonly waiting = new Map<string, Job>();
  /** What the worker has. */
  private current: Job | undefined;
  private worker: Worker | undefined;
  private loaded = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private given = 0;

  /** `finished` hears of each job, also of those that nobody waits for any more. */
  constructor(
    private readonly start: () => Worker,
    private readonly finished: (job: ColourJob, nodes: readonly CodeNode[] | undefined) => void,
  ) {}

  /**
   * Nothing comes of it if there are no workers. The same code twice is coloured once. `done` is not called after what is
   * returned was, nor for what waits behind too much else.
   */
  colour(code: string, language: string, done: Done): () => void {
    const key = keyOf(code, language);
    const isCurrent = this.current?.code === code && this.current.language === language;
    const known = isCurrent ? this.current : this.waiting.get(key);
    const job = known ?? { id: ++this.given, code, language, wanted: new Set<Done>() };
    job.wanted.add(done);
    if (!isCurrent) {
      // Last in the map is first in turn.
      this.waiting.delete(key);
      this.waiting.set(key, job);
      const [oldest = key] = this.waiting.keys();
      if (this.waiting.size > WAITING) this.waiting.delete(oldest);
    }
    if (!this.current) this.next();
    return () => {
      job.wanted.delete(done);
      if (job.wanted.size === 0 && this.waiting.get(key) === job) this.waiting.delete(key);
    };
  }

  private next(): void {
    const [key, job] = [...this.waiting].at(-1) ?? [];
    this.current = job;
    if (key === undefined) return;
    this.waiting.delete(key);
    this.work();
  }

  private work(): void {
    const job = this.current;
    if (!job) return;
    try {
      this.worker ??= this.started();
      if (this.loaded) this.worker.postMessage({ id: job.id, code: job.code, language: job.language });
      this.deadline = setTimeout(() => this.failed(), this.loaded ? A_CODE : LOADING);
    } catch {
      // A browser without module workers, or a policy against them: the code is readable as it is.
      this.finish(undefined);
    }
  }

  private started(): Worker {
    const worker = this.start();
    this.loaded = false;
    worker.onmessage = ({ data }: MessageEvent<ColourAnswer>) => this.heard(data);
    worker.onerror = () => this.failed();
    return worker;
  }

  private heard(answer: ColourAnswer): void {
    if (answer === 'loaded') {
      this.loaded = true;
      clearTimeout(this.deadline);
      this.work();
    } else if (answer.id === this.current?.id) this.finish(answer.nodes);
  }

  private failed(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.finish(undefined);
  }

  private finish(nodes: readonly CodeNode[] | undefined): void {
    clearTimeout(this.deadline);
    const job = this.current;
    if (job) this.finished(job, nodes);
    for (const done of job?.wanted ?? []) done(nodes);
    this.next();
  }
}

const queue = new ColourQueue(
  () => new Worker(new URL('./highlight-worker.ts', import.meta.url), { type: 'module' }),
  remember,
);
