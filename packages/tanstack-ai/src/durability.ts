//! The log of a run's chunks: what is streamed to a page is durable before, and a page that lost its connection, or is opened
//! anew, or another one, goes on from where it was.

import { randomUUID } from 'node:crypto';
import { resolveResumeRunId, type StreamChunk, type StreamDurability } from '@tanstack/ai';
import { BEGINNING, type Entry, Log, type Place } from './log.js';
import { idOf, pause, Server, type ThreadmillOptions } from './server.js';

export interface ThreadmillStreamOptions extends ThreadmillOptions {
  /** Seconds after its last read or write until a log is gone; the default is a day. */
  readonly ttlSeconds?: number;
  /** Raised by a host that takes a run over: what those with a smaller one append is refused. Without it nobody is. */
  readonly producerEpoch?: number;
  /** Milliseconds that somebody who joins a run waits for it to begin, before it fails; the default is 500. */
  readonly firstChunkDeadlineMs?: number;
}

const DAY = 86_400;
const FIRST_CHUNK = 500;
const LOOK = 50;
const MARK = 'threadmill:1';

/** The run, for a server function that has no request. */
interface RunSource {
  readonly runId: string;
  readonly offset?: string | null;
}

/**
 * The `durability` of TanStack AI's responses. The run is named by the request, as TanStack AI's client does (`X-Run-Id` or
 * `?runId`); what is kept is the user's whom `headers` name.
 *
 * @example
 * return toServerSentEventsResponse(stream, { durability: { adapter: threadmillStream(request, { url, headers }) } });
 */
export function threadmillStream(
  source: Request | RunSource,
  options: ThreadmillStreamOptions,
): StreamDurability {
  const offset = source instanceof Request ? offsetOf(source) : (source.offset ?? null);
  const place = offset === null || offset === '-1' || offset === 'now' ? undefined : decode(offset);
  const named = source instanceof Request ? resolveResumeRunId(source) : source.runId;
  if (named === '') throw new Error('A run has an id.');
  if (place && named !== null && named !== place.run) throw new Error('The offset is of another run.');
  const run = place?.run ?? named ?? randomUUID();
  const { ttlSeconds: ttl = DAY, producerEpoch: epoch } = options;
  const log = new Log<StreamChunk>(new Server(options), `tanstack/chunks/${idOf(run)}`, { ttl, epoch });
  const told = ({ message, after }: Entry<StreamChunk>) => ({ offset: encode(run, after), chunk: message });
  return {
    resumeFrom: () => offset,
    append: async chunks => (await log.append(chunks)).map(after => encode(run, after)),
    close: () => log.close(),
    snapshot: async () => (await log.all()).map(told),
    async *read(from, signal) {
      const begins = await placeOf(log, run, from, options.firstChunkDeadlineMs ?? FIRST_CHUNK, signal);
      for await (const entry of log.follow(begins, signal)) yield told(entry);
    },
  };
}

function offsetOf(request: Request): string | null {
  return request.headers.get('last-event-id') ?? new URL(request.url).searchParams.get('offset');
}

/** Where to read from. Who joins a run waits for a moment until there is one. */
async function placeOf(
  log: Log<StreamChunk>,
  run: string,
  from: string,
  deadline: number,
  signal?: AbortSignal,
): Promise<Place> {
  if (from !== '-1' && from !== 'now') {
    const place = decode(from);
    if (place.run !== run) throw new Error('The offset is of another run.');
    return place;
  }
  for (let waited = 0; ; waited += LOOK) {
    const end = await log.end();
    if (end !== undefined) return from === 'now' ? { offset: end, skip: 0 } : BEGINNING;
    if (waited >= deadline || signal?.aborted) throw new Error(`There is no run ${run}.`);
    await pause(LOOK);
  }
}

function encode(run: string, { offset, skip }: Place): string {
  return [MARK, encodeURIComponent(run), encodeURIComponent(offset), skip].join(':');
}

function decode(cursor: string): Place & { run: string } {
  const [mark, version, run, offset, skip] = cursor.split(':');
  const left = Number(skip);
  const isOne = `${mark}:${version}` === MARK && run && offset && Number.isSafeInteger(left) && left >= 0;
  if (!isOne) throw new Error('The offset is none of Threadmill’s.');
  return { run: decodeURIComponent(run), offset: decodeURIComponent(offset), skip: left };
}
