//! Runs, interrupts and the app's own values, each a short log of what happened to it, and an index for each thread and run.

import { defineRunStore, type RunRecord, type RunStore } from '@tanstack/ai';
import { Log } from './log.js';
import { idOf, type Server } from './server.js';

/** What a log of a record says. The first `made` counts: of two who make one at once, one did. */
type Event<R> = { made: R } | { set: Partial<R>; unset: string[] };

class Records<R extends object> {
  readonly #server: Server;
  readonly #kind: string;

  constructor(server: Server, kind: string) {
    this.#server = server;
    this.#kind = kind;
  }

  #log(id: string): Log<Event<R>> {
    return new Log(this.#server, `tanstack/${this.#kind}/${idOf(id)}`);
  }

  async get(id: string): Promise<R | null> {
    let record: R | null = null;
    for (const { message } of await this.#log(id).all()) {
      if ('made' in message) record ??= message.made;
      else if (record) {
        record = Object.assign({}, record, message.set) as R;
        for (const name of message.unset) delete (record as Record<string, unknown>)[name];
      }
    }
    return record;
  }

  /** The record as it was made, now or before. */
  async make(id: string, record: R): Promise<R> {
    const known = await this.get(id);
    if (known) return known;
    await this.#log(id).append([{ made: record }]);
    return (await this.get(id)) ?? record;
  }

  /** Changes a record; one that there is not stays so. */
  async change(id: string, patch: Partial<R>): Promise<R | null> {
    if (!(await this.get(id))) return null;
    const unset = Object.entries(patch).flatMap(([name, value]) => (value === undefined ? [name] : []));
    await this.#log(id).append([{ set: patch, unset }]);
    return this.get(id);
  }
}

/** The ids of records, in the order in which they were made, each with what is told of it. */
class Index<N> {
  readonly #server: Server;
  readonly #kind: string;

  constructor(server: Server, kind: string) {
    this.#server = server;
    this.#kind = kind;
  }

  #log(of: string): Log<{ id: string; note: N }> {
    return new Log(this.#server, `tanstack/${this.#kind}/${idOf(of)}`);
  }

  async tell(of: string, id: string, note: N): Promise<void> {
    await this.#log(of).append([{ id, note }]);
  }

  async all(of: string): Promise<Map<string, N>> {
    return new Map((await this.#log(of).all()).map(({ message: { id, note } }) => [id, note]));
  }
}

type RunNote = Pick<RunRecord, 'status' | 'startedAt'>;

export function runStore(server: Server): RunStore & Required<Pick<RunStore, 'listByThread'>> {
  const runs = new Records<RunRecord>(server, 'runs');
  const ofThread = new Index<RunNote>(server, 'thread-runs');
  const listed = async (thread: string, wanted: (note: RunNote) => boolean): Promise<RunRecord[]> => {
    const notes = [...(await ofThread.all(thread))].filter(([, note]) => wanted(note));
    const found = await Promise.all(notes.map(([id]) => runs.get(id)));
    return found
      .filter(run => run?.threadId === thread)
      .map(run => run as RunRecord)
      .sort((one, other) => one.startedAt - other.startedAt);
  };
  return defineRunStore({
    async createOrResume({ runId, threadId, startedAt, status = 'running' }) {
      const known = await runs.get(runId);
      if (known) return known;
      // First the index: a run that nobody finds would be worse than an entry of none.
      await ofThread.tell(threadId, runId, { status, startedAt });
      return runs.make(runId, { runId, threadId, startedAt, status });
    },
    async update(runId, patch) {
      const run = await runs.change(runId, patch);
      if (!run || !patch.status) return;
      const { threadId, status, startedAt } = run;
      await ofThread.tell(threadId, runId, { status, startedAt });
    },
    get: runId => runs.get(runId),
    listByThread: thread => listed(thread, () => true),
    findActiveRun: async thread => {
      const live = await listed(thread, ({ status }) => status === 'running');
      return live.filter(({ status }) => status === 'running').at(-1) ?? null;
    },
  });
}

export interface Interrupt {
  interruptId: string;
  runId: string;
  threadId: string;
  status: 'pending' | 'resolved' | 'cancelled';
  /** Milliseconds since 1970, as is `resolvedAt`. */
  requestedAt: number;
  resolvedAt?: number;
  payload: Record<string, unknown>;
  response?: unknown;
}

/** What waits for a person. */
export function interruptStore(server: Server) {
  const interrupts = new Records<Interrupt>(server, 'interrupts');
  const ofThread = new Index<null>(server, 'thread-interrupts');
  const ofRun = new Index<null>(server, 'run-interrupts');
  const listed = async (index: Index<null>, of: string): Promise<Interrupt[]> => {
    const found = await Promise.all([...(await index.all(of)).keys()].map(id => interrupts.get(id)));
    return found.filter(one => one !== null).sort((one, other) => one.requestedAt - other.requestedAt);
  };
  const pending = async (all: Promise<Interrupt[]>) =>
    (await all).filter(({ status }) => status === 'pending');
  return {
    /** Made once: one that there is stays as it is. */
    async create(record: Omit<Interrupt, 'status' | 'resolvedAt'>): Promise<void> {
      const { interruptId, threadId, runId } = record;
      if (await interrupts.get(interruptId)) return;
      await ofThread.tell(threadId, interruptId, null);
      await ofRun.tell(runId, interruptId, null);
      await interrupts.make(interruptId, { ...record, status: 'pending' });
    },
    async resolve(interruptId: string, response?: unknown): Promise<void> {
      const answer = { ...(response !== undefined && { response }), resolvedAt: Date.now() };
      await interrupts.change(interruptId, { status: 'resolved', ...answer });
    },
    async cancel(interruptId: string): Promise<void> {
      await interrupts.change(interruptId, { status: 'cancelled', resolvedAt: Date.now() });
    },
    get: (interruptId: string) => interrupts.get(interruptId),
    list: (threadId: string) => listed(ofThread, threadId),
    listPending: (threadId: string) => pending(listed(ofThread, threadId)),
    listByRun: (runId: string) => listed(ofRun, runId),
    listPendingByRun: (runId: string) => pending(listed(ofRun, runId)),
  };
}

/** Values of the app's, by a namespace and a key. */
export function metadataStore(server: Server) {
  const log = (namespace: string, key: string) =>
    new Log<{ value: unknown }>(server, `tanstack/metadata/${idOf(namespace)}/${idOf(key)}`);
  return {
    async get(namespace: string, key: string): Promise<unknown> {
      return (await log(namespace, key).all()).at(-1)?.message.value ?? null;
    },
    async set(namespace: string, key: string, value: unknown): Promise<void> {
      await log(namespace, key).append([{ value: value ?? null }]);
    },
    async delete(namespace: string, key: string): Promise<void> {
      await log(namespace, key).delete();
    },
  };
}
