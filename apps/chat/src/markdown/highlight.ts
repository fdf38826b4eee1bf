//! Code to coloured spans. The highlighter is in a worker, which starts with the first code block and has a second for
//! each: code that takes it longer stays plain.

import type { ColourAnswer, ColourJob } from './highlight-worker';

/** Text, or a span of it. */
export type CodeNode = string | { readonly className: string; readonly children: readonly CodeNode[] };

/** Longer code stays plain, in letters and in lines: what is coloured is laid out as one. */
const LONGEST = 40_000;
const MOST_LINES = 2_000;
/** The language of short unnamed code is guessed; of long code that costs too much. */
const LONGEST_GUESS = 4_000;
const KEPT = 200;
/** Milliseconds for one code. Usual code takes 1 to 20. */
const A_CODE = 1_000;
/** Milliseconds for the worker's script to come. */
const LOADING = 15_000;

/** Nothing is kept of code that stays plain, so that it is not tried again. */
const cache = new Map<string, readonly CodeNode[] | undefined>();
/** The same code twice is coloured once. */
const underWay = new Map<string, Promise<readonly CodeNode[] | undefined>>();

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

const keyOf = (code: string, language: string) => `${language}\n${code}`;

/** The spans, if this code was coloured before: a row that comes back looks as it did at once. */
export function cachedHighlight(code: string, language: string): readonly CodeNode[] | undefined {
  return cache.get(keyOf(code, language));
}

/** The spans, or nothing if the language is unknown, or the code too long or too hard. */
export async function highlight(code: string, language: string): Promise<readonly CodeNode[] | undefined> {
  if (code.length > (language === '' ? LONGEST_GUESS : LONGEST)) return undefined;
  if (code.split('\n', MOST_LINES).length === MOST_LINES) return undefined;
  const key = keyOf(code, language);
  if (code.trim() === '' || cache.has(key)) return cache.get(key);
  const asked = underWay.get(key) ?? queue.colour(code, language.toLowerCase());
  underWay.set(key, asked);
  const nodes = await asked;
  underWay.delete(key);
  remember(key, nodes);
  return nodes;
}

function remember(key: string, nodes: readonly CodeNode[] | undefined): void {
  cache.set(key, nodes);
  const oldest = cache.keys().next();
  if (cache.size > KEPT && !oldest.done) cache.delete(oldest.value);
}

interface Job extends ColourJob {
  done(nodes: readonly CodeNode[] | undefined): void;
}

/** Gives a worker one job at a time, and another worker the next if that takes too long. */
export class ColourQueue {
  private readonly jobs: Job[] = [];
  private worker: Worker | undefined;
  private loaded = false;
  private deadline: ReturnType<typeof setTimeout> | undefined;
  private given = 0;

  constructor(private readonly start: () => Worker) {}

  /** Nothing comes of it if there are no workers. */
  colour(code: string, language: string): Promise<readonly CodeNode[] | undefined> {
    return new Promise(done => {
      this.given += 1;
      this.jobs.push({ id: this.given, code, language, done });
      if (this.jobs.length === 1) this.work();
    });
  }

  private work(): void {
    const job = this.jobs[0];
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
    } else if (answer.id === this.jobs[0]?.id) this.finish(answer.nodes);
  }

  private failed(): void {
    this.worker?.terminate();
    this.worker = undefined;
    this.finish(undefined);
  }

  private finish(nodes: readonly CodeNode[] | undefined): void {
    clearTimeout(this.deadline);
    this.jobs.shift()?.done(nodes);
    this.work();
  }
}

const queue = new ColourQueue(
  () => new Worker(new URL('./highlight-worker.ts', import.meta.url), { type: 'module' }),
);
