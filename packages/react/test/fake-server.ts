//! A server in the test's own process: one thread, its log and one run, spoken to by `fetch` and `WebSocket` as the
//! real one is. What is said to it is counted; what it refuses or leaves unanswered, the test says.

import { vi } from 'vitest';
import { decode } from '../../client/src/core/decode.js';
import { encode, type Item } from './cbor.js';

export const THREAD = 't';
const BRANCH = 'main';
const NO_HASH = new Uint8Array(16);
const ROLE = { user: 1, assistant: 2 } as const;
const COMPLETE = 0;
const STREAMING = 1;

interface Message {
  id: string;
  role: keyof typeof ROLE;
  text: string;
  status: number;
  rev: number;
}

/** How the server meets writes; `late` acknowledges them, and lets its log bring them, when the test says so. */
type Mood = 'takes' | 'late' | 'silent' | 'refuses';

interface WriteBody {
  id: string;
  parts: { text: string }[];
  run?: { id: string; message: string };
}

export class FakeServer {
  readonly messages: Message[] = [];
  /** Requests by method and path, queries left out. */
  readonly requests: string[] = [];
  readonly sockets = new Set<FakeSocket>();
  connections = 0;
  mood: Mood = 'takes';
  /** Acknowledges what was taken late, and lets the log bring it. */
  acknowledge = () => {};
  /** Lets the connection break before what was taken late is acknowledged. */
  lose = () => {};
  bring = () => {};
  flags: Record<string, boolean> = { 'scalable-sync': true };
  #seq = 0;
  #run: { id: string; message: string; offset: number } | undefined;

  /** A thread of so many messages. */
  constructor(length: number) {
    for (let depth = 0; depth < length; depth++) {
      this.messages.push({
        id: `m${depth}`,
        role: 'user',
        text: `message ${depth}`,
        status: COMPLETE,
        rev: 1,
      });
    }
  }

  /** Takes the place of the network. */
  install(): void {
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => this.#answer(new URL(url), init));
    const sockets = this;
    class Socket extends FakeSocket {
      constructor() {
        super(sockets);
      }
    }
    vi.stubGlobal('WebSocket', Socket);
  }

  append(id: string, text: string): void {
    this.messages.push({ id, role: 'user', text, status: COMPLETE, rev: 1 });
    this.#change([6, [this.#ref(id)]], id);
  }

  edit(id: string, text: string): void {
    const message = this.#message(id);
    message.text = text;
    message.rev += 1;
    this.#change([7, [this.#ref(id)]], id);
  }

  startRun(id: string, message: string): void {
    this.messages.push({ id: message, role: 'assistant', text: '', status: STREAMING, rev: 1 });
    this.#run = { id, message, offset: 0 };
    this.#change([9, [id, this.#ref(message), 'test']], message);
    this.#chunks([[0, ['0']]]);
  }

  /** The run goes on by this. */
  write(delta: string): void {
    if (!this.#run) throw new Error('there is no run');
    this.#message(this.#run.message).text += delta;
    this.#chunks([[1, ['0', delta]]]);
  }

  /** The run goes on by these chunks, of which what it ends with knows nothing. */
  add(...chunks: Item[]): void {
    this.#chunks(chunks);
  }

  endRun(): void {
    const run = this.#run;
    if (!run) throw new Error('there is no run');
    const message = this.#message(run.message);
    message.status = COMPLETE;
    message.rev += 1;
    this.#run = undefined;
    this.#change([11, [run.id, 0, this.#ref(run.message), run.offset, null]], run.message);
  }

  /** How often a window of the thread was asked for. */
  get windows(): number {
    return this.requests.filter(request => request === `GET /v1/threads/${THREAD}/messages`).length;
  }

  /** A client said something. */
  heard(socket: FakeSocket, bytes: Uint8Array): void {
    const [kind, fields] = decode(bytes) as [number, number[]];
    if (kind === 0) socket.hear([0, [1, 'node', 15_000, 'local']]);
    else if (kind === 1) socket.hear([3, [fields[0] ?? 0]]);
    else if (kind === 4) socket.hear([7, [this.#seq, []]]);
  }

  #message(id: string): Message {
    const found = this.messages.find(message => message.id === id);
    if (!found) throw new Error(`there is no ${id}`);
    return found;
  }

  #ref(id: string): Item {
    const depth = this.messages.findIndex(message => message.id === id);
    return [id, BRANCH, depth, this.#message(id).rev, NO_HASH];
  }

  #change(change: Item, body: string): void {
    this.#seq += 1;
    const record = [this.#seq, 1_000, change];
    const message = this.#item(this.messages.findIndex(({ id }) => id === body));
    this.#say([5, [THREAD, [1, NO_HASH, record, message]]]);
  }

  #chunks(chunks: Item[]): void {
    const run = this.#run;
    if (!run) return;
    const from = run.offset;
    run.offset += chunks.length;
    this.#say([6, [THREAD, run.id, run.message, from, run.offset, chunks]]);
  }

  #say(frame: Item): void {
    for (const socket of this.sockets) socket.hear(frame);
  }

  #item(depth: number): Item {
    const message = this.messages[depth];
    if (!message) throw new Error(`nothing at ${depth}`);
    const { id, role, text, status, rev } = message;
    const parts = text === '' ? [] : [[0, [text, null]]];
    return [id, ROLE[role], parts, null, status, BRANCH, depth, rev, 1_000, []];
  }

  /** The window a query asks for: at the tip, or before a depth. */
  #window(query: URLSearchParams): Uint8Array {
    const anchor = query.get('anchor') ?? 'tip';
    const to = anchor.startsWith('depth:') ? Number(anchor.slice(6)) : this.messages.length;
    const from = Math.max(0, to - Number(query.get('before')));
    const items = Array.from({ length: to - from }, (_, at) => this.#item(from + at));
    const offsets = this.#run ? [[this.#run.id, this.#run.offset]] : [];
    const cursor = [[1, this.#seq, NO_HASH], offsets];
    const lineage = [[BRANCH, 0]];
    const runs = this.#runs();
    const fields = [THREAD, BRANCH, cursor, this.messages.length, from, to, items, runs, [], lineage];
    return Uint8Array.from(encode(fields));
  }

  #runs(): Item[] {
    if (!this.#run) return [];
    const { id, message, offset } = this.#run;
    return [[id, BRANCH, message, this.messages.length - 1, 0, null, offset, 'test', 1_000, null]];
  }

  async #answer(url: URL, init: RequestInit = {}): Promise<Response> {
    const method = init.method ?? 'GET';
    this.requests.push(`${method} ${url.pathname}`);
    const thread = `/v1/threads/${THREAD}`;
    if (method !== 'GET') return this.#write(url.pathname, JSON.parse(String(init.body ?? 'null')));
    switch (url.pathname) {
      case '/v1/flags':
        return json({ rev: 1, flags: this.flags });
      case '/v1/threads':
        return json({ threads: [this.#summary()], nextPage: null, pos: this.#seq });
      case thread:
        return json({ thread: { title: 'Title', defaultBranch: BRANCH } });
      case `${thread}/messages`:
        return new Response(this.#window(url.searchParams) as BodyInit);
      default:
        return json({ code: 'route_not_found', detail: url.pathname, status: 404 }, 404);
    }
  }

  #summary() {
    const state = { running: false, archived: false, deleted: false, updatedAt: '2026-01-01T00:00:00Z' };
    return { id: THREAD, pos: 1, title: 'Title', snippet: 'message', ...state };
  }

  #write(path: string, body: WriteBody | null): Promise<Response> | Response {
    if (this.mood === 'silent') return new Promise(() => {});
    if (this.mood === 'refuses') {
      return json({ code: 'message_too_large', detail: 'Too large.', status: 413 }, 413);
    }
    if (path === `/v1/threads/${THREAD}/messages` && body) {
      const bring = () => {
        this.append(body.id, body.parts[0]?.text ?? '');
        if (body.run) this.startRun(body.run.id, body.run.message);
      };
      const answer = json({ message: { id: body.id, branch: BRANCH } }, 201);
      if (this.mood === 'late') return this.#late(answer, bring);
      bring();
      return answer;
    }
    return json({});
  }

  #late(answer: Response, bring: () => void): Promise<Response> {
    this.bring = bring;
    return new Promise((resolve, reject) => {
      this.acknowledge = () => resolve(answer);
      this.lose = () => reject(new TypeError('no network'));
    });
  }
}

/** A socket whose other end is the fake server. */
class FakeSocket {
  static readonly OPEN = 1;
  readonly #server: FakeServer;
  readyState = 0;
  binaryType = '';
  onopen: (() => void) | null = null;
  onclose: (() => void) | null = null;
  onmessage: ((event: { data: ArrayBuffer }) => void) | null = null;

  constructor(server: FakeServer) {
    this.#server = server;
    server.connections += 1;
    server.sockets.add(this);
    queueMicrotask(() => {
      this.readyState = FakeSocket.OPEN;
      this.onopen?.();
    });
  }

  send(bytes: Uint8Array): void {
    queueMicrotask(() => this.#server.heard(this, bytes));
  }

  /** The server says a frame. */
  hear(frame: Item): void {
    const bytes = Uint8Array.from(encode(frame));
    this.onmessage?.({ data: bytes.buffer });
  }

  close(): void {
    this.readyState = 3;
    this.#server.sockets.delete(this);
    queueMicrotask(() => this.onclose?.());
  }
}

function json(value: unknown, status = 200): Response {
  return new Response(JSON.stringify(value), { status, headers: { 'content-type': 'application/json' } });
}
