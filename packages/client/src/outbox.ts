//! The outbox on the host's side: what the writes say, kept by the browser and shown in every tab. The core of the
//! tab that owns the connection decides what is sent when.

import type { Api } from './api.js';
import { Call } from './core.js';
import type { Frames } from './frames.js';
import type { Pending } from './overlay.js';
import { type Problem, ProblemError } from './problem.js';
import type { Storage } from './storage.js';
import { FrameStore } from './store.js';
import type { OutboxHandle, OutboxItem, SyncStatus } from './types.js';
import type { Stage } from './wire.js';
import type { Write } from './writes.js';

/** A write as it is stored and as tabs hand it to each other. */
export interface Entry {
  readonly write: Write;
  /** Grows in the order of making. */
  readonly order: number;
  readonly createdAt: number;
  /** It may have reached the server. */
  tried: boolean;
  state: OutboxItem['state'];
  error?: Problem;
}

/** What the outbox needs of the core and of the other tabs. */
export interface OutboxHost {
  call(kind: Call, number: number, texts?: string[], b?: number, c?: number): void;
  tell(message: OutboxMessage): void;
}

/** What became of a write, for whoever waits for it. */
type Outcome = { readonly answer: unknown } | { readonly problem: Problem };

/** What clients of different tabs say to each other about the outbox. */
export type OutboxMessage =
  | { readonly say: 'entry'; readonly entry: Entry }
  | { readonly say: 'over'; readonly key: string; readonly outcome: Outcome }
  | { readonly say: 'wish'; readonly key: string; readonly wish: 'retry' | 'discard' }
  /** Whoever leads from now on asks for what the others hold. */
  | { readonly say: 'entries' };

interface Held {
  entry: Entry;
  item: OutboxItem;
  number: number;
  /** That it was tried is being stored. */
  marked?: Promise<void>;
}

const DISCARDED: Problem = {
  code: 'discarded',
  detail: 'The write was given up before it was sent.',
  status: 0,
};

/** The outbox of a browser, as one tab has it. */
export class Outbox extends FrameStore<readonly OutboxItem[]> implements OutboxHandle {
  readonly #host: OutboxHost;
  readonly #api: Api;
  readonly #storage: Storage;
  /** Called whenever what is shown of a thread may differ, and when a write is over. */
  readonly #changed: (write: Write, outcome?: Outcome) => void;
  readonly #entries = new Map<string, Held>();
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  /** What became over while the stored entries were being read: what was read of it is too old. */
  readonly #late = new Set<string>();
  #reading = 0;
  #numbers = 0;
  #order = 0;
  #role: SyncStatus['role'] = 'follower';

  constructor(
    frames: Frames,
    host: OutboxHost,
    api: Api,
    storage: Storage,
    changed: (write: Write, outcome?: Outcome) => void,
  ) {
    super(frames, []);
    this.#host = host;
    this.#api = api;
    this.#storage = storage;
    this.#changed = changed;
  }

  /** The entries in the order of their making, as they are now. */
  all(): Pending[] {
    return this.#sorted().map(({ entry, item }) => ({ write: entry.write, item }));
  }

  /** Those of a thread. */
  of(threadId: string): Pending[] {
    return this.all().filter(({ write }) => write.threadId === threadId);
  }

  /** The thread of an unsent write that starts a run. */
  threadOf(runId: string): string | undefined {
    for (const { entry } of this.#entries.values()) {
      if (entry.write.runId === runId) return entry.write.threadId;
    }
    return undefined;
  }

  /** Takes a write in. `kept` resolves when the browser has stored it, `sent` when the server has acknowledged it. */
  add(write: Write): { kept: Promise<void>; sent: Promise<unknown> } {
    const createdAt = Date.now();
    this.#order = Math.max(this.#order + 1, createdAt * 1_000);
    const entry: Entry = { write, order: this.#order, createdAt, tried: false, state: 'pending' };
    const sent = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(write.key, outcome => {
        if ('answer' in outcome) resolve(outcome.answer);
        else reject(new ProblemError(outcome.problem));
      });
    });
    // Whoever wants to know waits for it; nobody has to.
    sent.catch(() => {});
    this.#hold(entry);
    const kept = this.#storage.put('outbox', write.key, entry).then(() => {
      this.#host.tell({ say: 'entry', entry });
      this.#feed(write.key);
    });
    return { kept, sent };
  }

  retry(key: string): void {
    this.#wish(key, 'retry');
  }

  discard(key: string): void {
    this.#wish(key, 'discard');
  }

  /** Reads what is stored. */
  async load(): Promise<void> {
    this.#reading += 1;
    const entries = await this.#storage.all<Entry>('outbox');
    this.#reading -= 1;
    for (const entry of entries) if (!this.#late.has(entry.write.key)) this.#hold(entry);
    if (this.#reading === 0) this.#late.clear();
    this.#feedAll();
  }

  /** Who sends from now on. */
  become(role: SyncStatus['role']): void {
    const sends = this.#role !== 'follower';
    this.#role = role;
    if (role === 'follower' || sends) return;
    this.#host.tell({ say: 'entries' });
    void this.load();
  }

  /** The client of another tab said something. */
  told(message: OutboxMessage): void {
    switch (message.say) {
      case 'entry':
        this.#hold(message.entry);
        this.#feed(message.entry.write.key);
        break;
      case 'over':
        this.#over(message.key, message.outcome);
        break;
      case 'wish':
        if (this.#role !== 'follower') this.#wish(message.key, message.wish);
        break;
      case 'entries':
        for (const { entry } of this.#entries.values()) this.#host.tell({ say: 'entry', entry });
        break;
    }
  }

  /** The core says that a write is to be sent. */
  async write(number: number): Promise<void> {
    const held = this.#numbered(number);
    if (!held) return;
    const { entry } = held;
    await held.marked;
    const tried = await this.#api.try(entry.write);
    if ('answer' in tried) {
      // Even if another tab sends by now: this answer is as good as its own.
      this.#settle(entry.write.key, tried);
      this.#host.call(Call.written, number, [''], 200, -1);
      return;
    }
    const { status, code, message, hint, retryAfterMs } = tried.problem;
    entry.error = { status, code, detail: message, hint };
    this.#host.call(Call.written, number, [code], status, retryAfterMs ?? -1);
  }

  /** The core says where a write is. */
  writing(number: number, stage: Stage): void {
    const held = this.#numbered(number);
    if (!held) return;
    const { entry } = held;
    const { key } = entry.write;
    if (stage === 'done') this.#settle(key, { answer: undefined });
    else if (stage === 'dropped') this.#settle(key, { problem: DISCARDED });
    else {
      entry.state = stage;
      if (stage === 'sending' && !entry.tried) {
        entry.tried = true;
        held.marked = this.#storage.put('outbox', key, entry);
      }
      if (stage === 'failed') void this.#storage.put('outbox', key, entry);
      this.#show(key);
      this.#host.tell({ say: 'entry', entry });
    }
  }

  /** Nothing is kept and nobody waits any more. */
  clear(): void {
    for (const key of [...this.#entries.keys()]) this.#over(key, { problem: DISCARDED });
  }

  protected override take(): readonly OutboxItem[] {
    return this.#sorted().map(({ item }) => item);
  }

  #sorted() {
    return [...this.#entries.values()].sort((a, b) => a.entry.order - b.entry.order);
  }

  #numbered(number: number) {
    for (const held of this.#entries.values()) if (held.number === number) return held;
    return undefined;
  }

  /** Takes an entry of this or another tab up, or what is new about it. */
  #hold(entry: Entry): void {
    const { key } = entry.write;
    this.#order = Math.max(this.#order, entry.order);
    const held = this.#entries.get(key);
    const number = held?.number ?? ++this.#numbers;
    if (held && this.#role !== 'follower') return;
    this.#entries.set(key, { entry: { ...entry }, item: itemOf(entry), number });
    this.#show(key);
  }

  #show(key: string): void {
    const held = this.#entries.get(key);
    if (!held) return;
    held.item = itemOf(held.entry);
    this.touch();
    this.#changed(held.entry.write);
    const { state, error } = held.entry;
    // It stays, to be tried again or given up; whoever waits is told now.
    if (state === 'failed' && error) this.#tell(key, { problem: error });
  }

  #tell(key: string, outcome: Outcome): void {
    this.#waiting.get(key)?.(outcome);
    this.#waiting.delete(key);
  }

  #feedAll(): void {
    for (const { entry } of this.#sorted()) this.#feed(entry.write.key);
  }

  /** Gives an entry to the core that sends, if this tab's does. */
  #feed(key: string): void {
    const held = this.#entries.get(key);
    if (!held || this.#role === 'follower' || held.entry.state === 'failed') return;
    const { threadId, runId, kind } = held.entry.write;
    const { number } = held;
    const { tried } = held.entry;
    this.#host.call(Call.write, number, [threadId, runId ?? ''], (kind === 'stop' ? 1 : 0) | (tried ? 2 : 0));
  }

  #wish(key: string, wish: 'retry' | 'discard'): void {
    const held = this.#entries.get(key);
    if (!held) return;
    if (this.#role === 'follower') {
      this.#host.tell({ say: 'wish', key, wish });
    } else if (held.entry.state !== 'failed') {
      this.#host.call(Call[wish], held.number);
    } else if (wish === 'retry') {
      held.entry.state = 'pending';
      held.number = ++this.#numbers;
      void this.#storage.put('outbox', key, held.entry);
      this.#show(key);
      this.#host.tell({ say: 'entry', entry: held.entry });
      this.#feed(key);
    } else this.#settle(key, { problem: DISCARDED });
  }

  /** A write is over: forgotten here, in the store and in the other tabs. */
  #settle(key: string, outcome: Outcome): void {
    if (!this.#entries.has(key)) return;
    this.#over(key, outcome);
    // A tab that reads the store now either does not find it or is told.
    void this.#storage.delete('outbox', key).then(() => this.#host.tell({ say: 'over', key, outcome }));
  }

  #over(key: string, outcome: Outcome): void {
    if (this.#reading > 0) this.#late.add(key);
    const held = this.#entries.get(key);
    if (!held) return;
    this.#entries.delete(key);
    this.touch();
    this.#changed(held.entry.write, outcome);
    this.#tell(key, outcome);
  }
}

function itemOf({ write, state, error, createdAt }: Entry): OutboxItem {
  const { key, kind, threadId, messageId, runId, text } = write;
  return {
    key,
    kind,
    threadId,
    state,
    createdAt,
    ...(messageId && { messageId }),
    ...(runId && { runId }),
    ...(text && { text }),
    ...(state === 'failed' && error && { error: new ProblemError(error) }),
  };
}
