//! An in-memory client for developing the page without a server. Development only.

export * from './contract';

import type {
  Anchor,
  Client,
  ListSnapshot,
  Row,
  StreamSink,
  SyncStatus,
  ThreadHandle,
  ThreadSnapshot,
  ThreadSummary,
} from './contract';
import { answer, history } from './texts';

const WINDOW = 100;
const ms = (n: number) => new Promise<void>(done => setTimeout(done, n));

class Cell<T> {
  private listeners = new Set<() => void>();
  constructor(private value: T) {}
  subscribe = (listener: () => void) => {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  };
  getSnapshot = () => this.value;
  set(value: T) {
    this.value = value;
    for (const listener of this.listeners) listener();
  }
}

class FakeStream {
  buffer = '';
  sinks = new Set<StreamSink>();
  text = () => this.buffer;
  attach = (sink: StreamSink) => {
    sink.reset(this.buffer);
    this.sinks.add(sink);
    return () => void this.sinks.delete(sink);
  };
  push(delta: string) {
    this.buffer += delta;
    for (const sink of this.sinks) sink.append(delta);
  }
}

class FakeThread implements ThreadHandle {
  cell: Cell<ThreadSnapshot>;
  all: Row[];
  streams = new Map<string, FakeStream>();
  from: number;
  to: number;
  follow = true;
  stopped = false;
  runId: string | undefined;
  constructor(
    readonly threadId: string,
    count: number,
  ) {
    this.all = history(threadId, count);
    this.to = count;
    this.from = Math.max(0, count - 50);
    this.cell = new Cell<ThreadSnapshot>({
      status: 'loading',
      rows: [],
      firstIndex: 0,
      total: 0,
      hasOlder: false,
      hasNewer: false,
      loadingOlder: false,
      loadingNewer: false,
    });
    setTimeout(() => this.publish(), 60);
  }
  subscribe = (l: () => void) => this.cell.subscribe(l);
  getSnapshot = () => this.cell.getSnapshot();
  publish(extra: Partial<ThreadSnapshot> = {}) {
    const live = this.all[this.all.length - 1];
    this.cell.set({
      status: 'ready',
      rows: this.all.slice(this.from, this.to),
      firstIndex: this.from,
      total: this.all.length,
      hasOlder: this.from > 0,
      hasNewer: this.to < this.all.length,
      loadingOlder: false,
      loadingNewer: false,
      branch: 'main',
      defaultBranch: 'main',
      title: this.threadId,
      ...(this.runId && live
        ? { run: { id: this.runId, message: live.id, status: this.stopped ? 'stopping' : 'live' } as const }
        : {}),
      ...extra,
    });
  }
  async loadOlder() {
    if (this.getSnapshot().loadingOlder) return { added: 0, hasOlder: this.from > 0 };
    this.publish({ loadingOlder: true });
    await ms(40);
    const added = Math.min(25, this.from);
    this.from -= added;
    this.to = Math.min(this.to, this.from + WINDOW);
    this.publish();
    return { added, hasOlder: this.from > 0 };
  }
  async loadNewer() {
    if (this.getSnapshot().loadingNewer) return { added: 0, hasNewer: true };
    this.publish({ loadingNewer: true });
    await ms(40);
    const added = Math.min(25, this.all.length - this.to);
    this.to += added;
    this.from = Math.max(this.from, this.to - WINDOW);
    this.publish();
    return { added, hasNewer: this.to < this.all.length };
  }
  async jumpTo(anchor: Anchor) {
    await ms(40);
    const n = this.all.length;
    const at =
      anchor.at === 'tip'
        ? n
        : anchor.at === 'message'
          ? this.all.findIndex(r => r.id === anchor.id)
          : anchor.at === 'depth'
            ? anchor.depth
            : 0;
    this.to = Math.min(n, at + 25);
    this.from = Math.max(0, this.to - 50);
    this.publish();
  }
  async switchBranch() {}
  setFollow(follow: boolean) {
    this.follow = follow;
  }
  stream(id: string) {
    let stream = this.streams.get(id);
    if (!stream) {
      stream = new FakeStream();
      this.streams.set(id, stream);
    }
    return stream;
  }
  release() {}
  add(row: Row) {
    const atTip = this.to === this.all.length;
    this.all.push(row);
    if (atTip) this.to = this.all.length;
    if (this.follow) this.from = Math.max(this.from, this.to - WINDOW);
    this.publish();
  }
  async run(prompt: string) {
    const id = `m${this.all.length}-${crypto.randomUUID()}`;
    this.runId = crypto.randomUUID();
    this.stopped = false;
    const row: Row = {
      id,
      role: 'assistant',
      parts: [],
      status: 'streaming',
      depth: this.all.length,
      branch: 'main',
      rev: 0,
      createdAt: Date.now(),
      run: this.runId,
    };
    this.add(row);
    const stream = this.stream(id);
    for (const token of answer(prompt)) {
      await ms(12);
      if (this.stopped) break;
      stream.push(token);
    }
    const index = this.all.findIndex(r => r.id === id);
    const { run: _, ...rest } = row;
    this.all[index] = {
      ...rest,
      parts: [{ type: 'text', text: stream.buffer }],
      status: this.stopped ? 'stopped' : 'complete',
      rev: 1,
    };
    this.runId = undefined;
    for (const sink of stream.sinks) sink.end();
    this.publish();
  }
}

/** A client over nothing: forty threads, the first of 10,000 messages. */
export async function createClient(_: unknown): Promise<Client> {
  const status = new Cell<SyncStatus>({ connection: 'live' });
  const summaries: ThreadSummary[] = Array.from({ length: 120 }, (_, i) => ({
    id: `t${i}`,
    title:
      ['The long one', 'Planning a garden', 'Borrow checker, explained', 'Notes on sourdough'][i % 4] +
      (i > 3 ? ` ${i}` : ''),
    snippet: 'So the short answer is that it depends on the soil.',
    running: i === 2,
    archived: false,
    updatedAt: Date.now() - i * i * 600_000,
  }));
  const list = new Cell<ListSnapshot>({
    status: 'ready',
    threads: summaries,
    hasMore: false,
    loadingMore: false,
  });
  const threads = new Map<string, FakeThread>();
  const open = (id: string) => {
    let thread = threads.get(id);
    if (!thread) {
      thread = new FakeThread(id, id === 't0' ? 10_000 : id.startsWith('t') ? 12 : 0);
      threads.set(id, thread);
    }
    return thread;
  };
  const put = (next: ThreadSummary[]) =>
    list.set({ status: 'ready', threads: next, hasMore: false, loadingMore: false });
  const client: Client = {
    status,
    info: async () => ({
      version: '0.1.0',
      node: 'fake',
      tenant: 'default',
      user: 'local',
      providers: [{ name: 'replay', title: 'Replay', note: 'Answers are replayed from a corpus.' }],
      limits: {},
    }),
    thread: open,
    threads: options => ({
      subscribe: list.subscribe,
      getSnapshot: options?.title
        ? (() => {
            const found = summaries.filter(t =>
              t.title.toLowerCase().includes((options.title ?? '').toLowerCase()),
            );
            const snapshot: ListSnapshot = {
              status: 'ready',
              threads: found,
              hasMore: false,
              loadingMore: false,
            };
            return () => snapshot;
          })()
        : list.getSnapshot,
      loadMore: async () => {},
      release() {},
    }),
    createThread: async input => {
      const id = crypto.randomUUID();
      put([
        {
          id,
          title: String(input.message),
          snippet: '',
          running: true,
          archived: false,
          updatedAt: Date.now(),
        },
        ...list.getSnapshot().threads,
      ]);
      if (typeof input.message === 'string') void client.send(id, { text: input.message, run: true });
      return { threadId: id };
    },
    send: async (id, input) => {
      const thread = open(id);
      const messageId = crypto.randomUUID();
      thread.add({
        id: messageId,
        role: 'user',
        parts: [{ type: 'text', text: input.text ?? '' }],
        status: 'complete',
        depth: thread.all.length,
        branch: 'main',
        rev: 0,
        createdAt: Date.now(),
      });
      if (input.run) void thread.run(input.text ?? '');
      return { messageId, runId: 'r' };
    },
    edit: async (_t, messageId) => ({ messageId, branch: 'main', forked: false }),
    regenerate: async (id, messageId) => {
      void open(id).run('again');
      return { runId: 'r', messageId, branch: 'main' };
    },
    stop: async () => {
      for (const thread of threads.values()) if (thread.runId) thread.stopped = true;
    },
    removeMessage: async (id, messageId) => {
      const thread = open(id);
      thread.all = thread.all.filter(r => r.id !== messageId);
      thread.to = Math.min(thread.to, thread.all.length);
      thread.publish();
    },
    renameThread: async (id, title) =>
      put(list.getSnapshot().threads.map(t => (t.id === id ? { ...t, title } : t))),
    archiveThread: async () => {},
    deleteThread: async id => put(list.getSnapshot().threads.filter(t => t.id !== id)),
    wholePart: async () => ({ type: 'text', text: 'The whole of it.' }),
    close() {},
  };
  return client;
}
