//! One thread behind a `fetch` that speaks the API's shapes: what the direct engine is tested against.

import { vi } from 'vitest';
import type { Surroundings } from '../src/direct/poller.js';

interface Message {
  id: string;
  role: 'user' | 'assistant';
  parts: { type: string; text?: string; state?: string }[];
  status: string;
  branch: string;
  depth: number;
  rev: number;
  createdAt: string;
}

export class FakeServer {
  /** By branch; the first is the default. */
  readonly branches = new Map<string, Message[]>([['main', []]]);
  threads: { id: string; title: string }[] = [];
  run: { id: string; message: string; status: string } | undefined;
  title = 'A thread';
  flags: { rev: number; flags: Record<string, boolean> } | undefined;
  /** What every request is answered with, if not undefined: 0 is no answer. */
  failing: number | undefined;
  readonly asked: string[] = [];
  #seq = 0;

  constructor() {
    vi.stubGlobal('fetch', (url: string, init?: RequestInit) => this.#answer(new URL(url), init ?? {}));
  }

  /** Something changed: the cursor moves. */
  touch(): void {
    this.#seq += 1;
  }

  add(count: number, branch = 'main'): void {
    const messages = this.branches.get(branch) ?? [];
    for (let i = 0; i < count; i++) {
      const depth = messages.length;
      const fixed = {
        role: 'user',
        status: 'complete',
        rev: 1,
        createdAt: '2026-01-02T03:04:05.000Z',
      } as const;
      const parts = [{ type: 'text', text: `text ${depth}` }];
      messages.push({ id: `${branch}-${depth}`, branch, depth, parts, ...fixed });
    }
    this.branches.set(branch, messages);
    this.touch();
  }

  message(depth: number, branch = 'main'): Message {
    const message = this.branches.get(branch)?.[depth];
    if (!message) throw new Error(`no message ${depth} on ${branch}`);
    return message;
  }

  /** A run begins to write the next message. */
  start(): void {
    this.add(1);
    const last = this.message((this.branches.get('main') ?? []).length - 1);
    Object.assign(last, { role: 'assistant', status: 'streaming', parts: [] });
    this.run = { id: 'run', message: last.id, status: 'live' };
  }

  write(text: string): void {
    this.writeParts({ type: 'text', text });
  }

  /** The run has written these parts. */
  writeParts(...parts: { type: string; text?: string; state?: string }[]): void {
    const message = (this.branches.get('main') ?? []).find(message => message.id === this.run?.message);
    if (message) message.parts = parts;
    this.touch();
  }

  end(): void {
    const message = (this.branches.get('main') ?? []).find(message => message.id === this.run?.message);
    if (message) Object.assign(message, { status: 'complete', rev: 2 });
    this.run = undefined;
    this.touch();
  }

  /** How often a path was asked for. */
  count(part: string): number {
    return this.asked.filter(path => path.includes(part)).length;
  }

  async #answer(url: URL, init: RequestInit): Promise<Response> {
    this.asked.push(`${init.method ?? 'GET'} ${url.pathname}${url.search}`);
    if (this.failing === 0) throw new TypeError('fetch failed');
    if (this.failing !== undefined) return problem(this.failing, 'unavailable');
    const path = url.pathname.slice('/v1'.length);
    if (path === '/flags') return this.#flags(new Headers(init.headers));
    if (path === '/threads') return this.#list(url.searchParams);
    if (path === '/threads/t') {
      if (this.branches.size === 0) return problem(404, 'thread_not_found');
      return Response.json({ thread: { title: this.title, defaultBranch: 'main' } });
    }
    if (path === '/threads/t/messages' && init.method !== 'POST') return this.#window(url.searchParams);
    if (path === '/threads/t/messages') return this.#append(String(init.body));
    return problem(404, 'route_not_found');
  }

  #append(body: string): Response {
    const { id } = JSON.parse(body) as { id: string };
    this.add(1);
    this.message((this.branches.get('main') ?? []).length - 1).id = id;
    return Response.json({ message: { id, branch: 'main' } }, { status: 201 });
  }

  #window(query: URLSearchParams): Response {
    const [at = 'tip', value = ''] = (query.get('anchor') ?? 'tip').split(':');
    const found = [...this.branches].find(([, messages]) => messages.some(message => message.id === value));
    const branch = query.get('branch') ?? (at === 'message' ? found?.[0] : [...this.branches.keys()][0]);
    const messages = this.branches.get(branch ?? '');
    if (this.branches.size === 0) return problem(404, 'thread_not_found');
    if (!messages || (at === 'message' && !found)) return problem(404, 'branch_not_found');
    const end = at === 'depth' ? Number(value) : messages.length;
    const first = Math.max(0, end - Number(query.get('before')));
    return Response.json({
      branch,
      cursor: `c${this.#seq}`,
      total: messages.length,
      firstDepth: first,
      nextDepth: end,
      messages: messages.slice(first, end).filter(message => message.status !== 'removed'),
      runs: this.run && branch === 'main' ? [this.run] : [],
      forks: [],
      hasOlder: first > 0,
    });
  }

  #list(query: URLSearchParams): Response {
    const [from, limit] = [Number(query.get('page') ?? 0), Number(query.get('limit'))];
    const fixed = { snippet: '', running: false, archived: false, updatedAt: '2026-01-02T03:04:05.000Z' };
    const threads = this.threads.slice(from, from + limit).map(thread => ({ ...fixed, ...thread }));
    const next = from + limit;
    return Response.json({ threads, nextPage: next < this.threads.length ? String(next) : null });
  }

  #flags(headers: Headers): Response {
    if (!this.flags) return problem(404, 'route_not_found');
    const etag = `"${this.flags.rev}"`;
    if (headers.get('if-none-match') === etag) return new Response(null, { status: 304 });
    return Response.json(this.flags, { headers: { etag } });
  }
}

function problem(status: number, code: string): Response {
  return Response.json({ status, code }, { status });
}

/** A page that is hidden, and wakes, when the test says so. */
export class FakeSurroundings implements Surroundings {
  isHidden = false;
  readonly #callbacks = new Set<() => void>();

  hidden(): boolean {
    return this.isHidden;
  }

  random(): number {
    return 0.5;
  }

  onWake(callback: () => void): () => void {
    this.#callbacks.add(callback);
    return () => this.#callbacks.delete(callback);
  }

  wake(): void {
    for (const callback of this.#callbacks) callback();
  }
}
