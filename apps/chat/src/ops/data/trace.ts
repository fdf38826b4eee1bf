//! The live trace of one thread or one user: server-sent events over `fetch`, since an `EventSource` sends no token. Bounds:
//! a line of [`LINE`] letters, an event of [`DATA`], [`KEPT`] events, the newest.

import { request } from './ask';
import { Failure } from './failure';
import { Fields } from './fields';

/** Events that are kept. */
export const KEPT = 300;
/** Letters of a line that has no end. */
const LINE = 300_000;
/** Letters of an event's data, in all its lines. */
const DATA = 1_000_000;
/** Milliseconds without a sign: the node sends one every 15 seconds, whatever happens. */
const SILENCE = 40_000;

/** One event of the trace. */
export interface Traced {
  /** Counts up from the first of the trace. */
  readonly number: number;
  readonly at: number | null;
  readonly kind: string;
  readonly thread: string;
  readonly rest: readonly (readonly [string, string])[];
}

/** An event as it came: its kind, and its data. */
interface Sent {
  readonly event: string;
  readonly data: string;
}

/** Takes a stream of server-sent events apart, however it is cut. */
export class Frames {
  #text = '';
  #event = '';
  #data: string[] = [];
  #letters = 0;

  /** What has come whole with this piece. */
  push(piece: string): Sent[] {
    const sent: Sent[] = [];
    const lines = (this.#text + piece).split(/\r\n|\n/);
    this.#text = lines.pop() ?? '';
    if (this.#text.length > LINE) throw new Error('A line of the trace has no end.');
    for (const line of lines) this.#line(line, sent);
    return sent;
  }

  #line(line: string, sent: Sent[]): void {
    if (line === '') {
      if (this.#data.length > 0) sent.push({ event: this.#event || 'message', data: this.#data.join('\n') });
      this.#event = '';
      this.#data = [];
      this.#letters = 0;
    } else if (line.startsWith('event:')) this.#event = line.slice(6).trim();
    else if (line.startsWith('data:')) {
      this.#letters += line.length;
      if (this.#letters > DATA) throw new Error('An event of the trace has no end.');
      this.#data.push(line.slice(5).replace(/^ /, ''));
    }
  }
}

const SAID = new Set(['at', 'kind', 'thread']);

/** An event of the trace, from its JSON. */
export function tracedOf(data: string, number: number): Traced {
  let json: unknown;
  try {
    json = JSON.parse(data);
  } catch {
    json = {};
  }
  const fields = new Fields(json);
  const rest = fields
    .names()
    .filter(name => !SAID.has(name))
    .map(name => [name, wordsOf(fields.any(name))] as const);
  return { number, at: fields.time('at'), kind: fields.text('kind'), thread: fields.text('thread'), rest };
}

function wordsOf(value: unknown): string {
  const words = typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
  return words.length > 2_000 ? `${words.slice(0, 2_000)} …` : words;
}

/** Follows a trace until it ends or the signal says so; why it ended, in the server's words. */
export async function follow(
  query: URLSearchParams,
  signal: AbortSignal,
  heard: (events: readonly Traced[]) => void,
): Promise<string> {
  const response = await request(`trace?${query}`, { headers: { accept: 'text/event-stream' }, signal });
  const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader();
  if (!reader) return 'The node sent nothing.';
  const frames = new Frames();
  let number = 0;
  try {
    for (;;) {
      const { done, value } = await unlessSilent(reader.read());
      if (done) return 'The node closed the trace.';
      const sent = frames.push(value);
      const traced = sent.filter(({ event }) => event === 'trace');
      if (traced.length > 0) heard(traced.map(({ data }) => tracedOf(data, ++number)));
      const end = sent.find(({ event }) => event === 'end');
      if (end) return new Fields(JSON.parse(end.data)).text('why') || 'The node closed the trace.';
    }
  } finally {
    // Else the node goes on sending to nobody.
    reader.cancel().catch(() => {});
  }
}

/** Rejects when nothing comes for so long that nothing will. */
function unlessSilent<T>(read: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>;
  const silent = new Promise<never>((_, fail) => {
    const why = `Nothing came of the trace for ${SILENCE / 1_000} seconds.`;
    timer = setTimeout(() => fail(new Failure('silent', 'trace_silent', why, 'Start it again.')), SILENCE);
  });
  return Promise.race([read, silent]).finally(() => clearTimeout(timer));
}
