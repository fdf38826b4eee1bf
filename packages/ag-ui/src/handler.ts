//! The endpoint: requests of AG-UI's clients, and what they are answered.

import { type AGUIEvent, EventType, type RunAgentInput } from '@ag-ui/core';
import { RunAgentInputSchema } from '@ag-ui/core/schemas';
import { messageOf } from './segments.js';
import { messagesOf } from './snapshot.js';
import { type Chunk, Translation } from './translation.js';
import { chunksOf, follow, messages, Refusal, send, stop, type Upstream } from './upstream.js';

/** Bytes of a request; clients send the whole conversation, of which the last message counts. */
const LONGEST_BODY = 16 << 20;
/** How often a client that comes back is looked at anew, where an answer begins or ends meanwhile. */
const LOOKS = 3;
/** An id as the server takes it. */
const ID = /^(?!\.+$)[A-Za-z0-9._:@+~-]{1,128}$/;

export interface AgUiOptions {
  /** Where the server is, such as `http://127.0.0.1:7430`. */
  readonly url: string;
  /**
   * The headers that say on whose behalf the server is asked. Without it, the request's own `Authorization` goes on: what
   * somebody may do there, they may do here.
   */
  readonly headers?: (
    request: Request,
  ) => Readonly<Record<string, string>> | Promise<Readonly<Record<string, string>>>;
  /** Another `fetch`. */
  readonly fetch?: typeof fetch;
}

/**
 * Answers requests of AG-UI's clients. `POST` with a `RunAgentInput` sends its last message and answers with its events;
 * `GET ?threadId=…&runId=…` gives the messages of a thread and the answer that is being written, from its beginning;
 * `DELETE ?threadId=…` stops that one. Who leaves stops nothing.
 *
 * @example
 * const handle = createAgUiHandler({ url: process.env.THREADMILL_URL });
 * export { handle as DELETE, handle as GET, handle as POST };
 */
export function createAgUiHandler(options: AgUiOptions): (request: Request) => Promise<Response> {
  const url = options.url.replace(/\/+$/, '');
  const ofRequest = async (request: Request, signal: AbortSignal): Promise<Upstream> => {
    const headers = options.headers ? await options.headers(request) : passOn(request);
    return { url, headers, request: options.fetch ?? fetch, signal };
  };
  return async request => {
    const leaving = new AbortController();
    request.signal.addEventListener('abort', () => leaving.abort(), { once: true });
    try {
      const upstream = await ofRequest(request, leaving.signal);
      if (request.method === 'POST') return events(await run(upstream, request), leaving);
      const { searchParams } = new URL(request.url);
      const thread = checked('threadId', searchParams.get('threadId'));
      if (request.method === 'GET') {
        const name = searchParams.get('runId') ?? crypto.randomUUID();
        return events(await connect(upstream, thread, name), leaving);
      }
      if (request.method === 'DELETE') return Response.json(await stop(upstream, thread));
      throw new Refusal(405, 'method_not_allowed', 'The endpoint takes POST, GET and DELETE.');
    } catch (error) {
      leaving.abort();
      return refused(error);
    }
  };
}

function passOn(request: Request): Record<string, string> {
  const authorization = request.headers.get('authorization');
  return authorization === null ? {} : { authorization };
}

function checked(what: string, id: string | null): string {
  if (id !== null && ID.test(id)) return id;
  throw new Refusal(400, 'invalid_id', `${what} has 1 to 128 characters of A-Z a-z 0-9 . _ : @ + ~ -.`);
}

function refused(error: unknown): Response {
  const known = error instanceof Refusal;
  const [status, code] = known ? [error.status, error.code] : [502, 'unavailable'];
  const message = known ? error.message : 'The server cannot be reached.';
  return Response.json({ code, message }, { status });
}

/** Sends the last message and gives what happens then. */
async function run(upstream: Upstream, request: Request): Promise<AsyncGenerator<AGUIEvent | undefined>> {
  const input = await inputOf(request);
  const translation = new Translation(checked('threadId', input.threadId), input.runId);
  return told(translation, await send(upstream, bodyOf(input)), [translation.begin()]);
}

async function inputOf(request: Request): Promise<RunAgentInput> {
  const malformed = (detail: string) => new Refusal(400, 'invalid_request', detail);
  let json: unknown;
  try {
    json = JSON.parse(await bodyText(request));
  } catch (error) {
    throw error instanceof Refusal ? error : new Refusal(400, 'invalid_json', 'The body is not JSON.');
  }
  const input = RunAgentInputSchema.safeParse(json);
  if (!input.success) throw malformed('The body is not a RunAgentInput.');
  return input.data as RunAgentInput;
}

async function bodyText(request: Request): Promise<string> {
  let text = '';
  let bytes = 0;
  const decoder = new TextDecoder();
  for await (const piece of request.body ?? []) {
    bytes += piece.byteLength;
    if (bytes > LONGEST_BODY) throw new Refusal(413, 'body_too_large', 'The body has more than 16 MiB.');
    text += decoder.decode(piece, { stream: true });
  }
  return text + decoder.decode();
}

/** What the server takes of a conversation: the last message, and the id of the one before it. */
function bodyOf({ threadId, messages, forwardedProps }: RunAgentInput): object {
  const last = messages.at(-1);
  if (last?.role !== 'user') throw new Refusal(400, 'invalid_request', 'The last message is the user’s.');
  const before = messages.slice(0, -1).findLast(({ role }) => role === 'user' || role === 'assistant');
  const known = before && {
    id: messageOf(before.id),
    role: before.role,
    parts: [{ type: 'text', text: '-' }],
  };
  const provider = (forwardedProps as { provider?: unknown } | undefined)?.provider;
  return {
    id: threadId,
    trigger: 'submit-message',
    messages: [...(known ? [known] : []), { id: last.id, role: 'user', parts: partsOf(last.content) }],
    ...(typeof provider === 'string' && { provider }),
  };
}

type Content = Extract<RunAgentInput['messages'][number], { role: 'user' }>['content'];

function partsOf(content: Content): object[] {
  if (typeof content === 'string') return [{ type: 'text', text: content }];
  return content.map(part => {
    if (part.type === 'text') return { type: 'text', text: part.text };
    const source = 'source' in part ? part.source : undefined;
    if (source?.type === 'url')
      return { type: 'file', mediaType: source.mimeType ?? 'application/octet-stream', url: source.value };
    if (source?.type === 'data')
      return {
        type: 'file',
        mediaType: source.mimeType,
        url: `data:${source.mimeType};base64,${source.value}`,
      };
    throw new Refusal(422, 'unsupported_part', `A part of type ${part.type} cannot be sent.`);
  });
}

/** What a client is told that comes back: the messages, and what is being written, which is not among them. */
async function connect(upstream: Upstream, thread: string, run: string) {
  for (let look = 1; ; look++) {
    const body = await follow(upstream, thread);
    const chunks = body && chunksOf(body);
    const first = chunks && (await firstOf(chunks));
    const live = typeof first?.messageId === 'string' ? first.messageId : undefined;
    const stored = await messages(upstream, thread);
    // An answer that began between the two looks is followed from the next one.
    const isSettled = stored.every(({ id, status }) => status !== 'streaming' || id === live);
    if (!isSettled && look < LOOKS) {
      await chunks?.return(undefined);
      continue;
    }
    const translation = new Translation(thread, run);
    const snapshot: AGUIEvent = {
      type: EventType.MESSAGES_SNAPSHOT,
      messages: stored.filter(({ id, status }) => id !== live && status !== 'streaming').flatMap(messagesOf),
    };
    const before = [translation.begin(), snapshot, ...(first ? translation.of(first) : [])];
    return told(translation, chunks, before);
  }
}

/** The first chunk, past what only says that the server is there. */
async function firstOf(chunks: ReturnType<typeof chunksOf>): Promise<Chunk | undefined> {
  for (;;) {
    const { done, value } = await chunks.next();
    if (done || value) return value || undefined;
  }
}

async function* told(
  translation: Translation,
  from: ReadableStream<Uint8Array> | ReturnType<typeof chunksOf> | undefined,
  before: readonly AGUIEvent[],
): AsyncGenerator<AGUIEvent | undefined> {
  yield* before;
  if (!from) return yield* translation.done();
  try {
    for await (const chunk of from instanceof ReadableStream ? chunksOf(from) : from) {
      if (chunk) yield* translation.of(chunk);
      else yield undefined;
      if (translation.isOver) return;
    }
  } catch {
    // Nothing is known of the answer, which goes on: the client connects again.
  }
  yield* translation.fail('unavailable', 'The connection broke. The answer goes on: connect to follow it.');
}

/** Server-sent events, drawn as they are read. Where there is nothing to tell, a comment says that somebody is there. */
function events(source: AsyncGenerator<AGUIEvent | undefined>, leaving: AbortController): Response {
  const encoder = new TextEncoder();
  const body = new ReadableStream<Uint8Array>({
    pull: async controller => {
      const { done, value } = await source.next();
      if (done) controller.close();
      else controller.enqueue(encoder.encode(value ? `data: ${JSON.stringify(value)}\n\n` : ':\n\n'));
    },
    cancel: async () => {
      leaving.abort();
      await source.return(undefined);
    },
  });
  const headers = {
    'content-type': 'text/event-stream',
    'cache-control': 'private, no-store, no-transform',
    'x-accel-buffering': 'no',
  };
  return new Response(body, { headers });
}
