//! The outbox on the host's side: what the writes say, kept by the browser and shown in every tab. The core of the
//! tab that owns the connection decides what is sent when.
//!
//! Room `outbox`: writes from their making to the server's answer, and how they look until then. It knows no view:
//! a view is given the writes of its thread.

import { Call, type CallKind } from '../core/core.js';
import { offline } from '../core/status.js';
import type { Stage } from '../core/wire.js';
import type { Frames } from '../page/frames.js';
import { FrameStore } from '../page/store.js';
import { entryIn, isNamed, type OutboxEntry } from '../storage/records.js';
import type { Storage } from '../storage/storage.js';
import type { Api, Tried } from '../transport/api.js';
import { plainly, textOf, textsOf, type Write } from '../transport/writes.js';
import { INVALID_ID, type Problem, ProblemError, RELEASED, UNSPEAKABLE } from '../words/problem.js';
import type { OutboxHandle, OutboxItem, SyncStatus } from '../words/types.js';
import type { Pending } from './overlay.js';

/** What the outbox needs of the core and of the other tabs. */
export interface OutboxHost {
  /** False if the core does not take it. */
  call(kind: CallKind, number: number, texts?: string[], b?: number, c?: number): boolean;
  broadcast(message: OutboxMessage): void;
}

/** What became of a write. */
type Outcome = { readonly answer: unknown } | { readonly problem: Problem };

type Wish = 'retry' | 'discard';

/** Messages between the outboxes of a browser's tabs. Their words stay: tabs of two releases may be open at once. */
export type OutboxMessage =
  | { readonly say: 'entry'; readonly entry: OutboxEntry }
  | { readonly say: 'over'; readonly key: string; readonly outcome: Outcome }
  | { readonly say: 'wish'; readonly key: string; readonly wish: Wish }
  /** A new leader asks for what the others hold. */
  | { readonly say: 'entries' };

interface Held {
  entry: OutboxEntry;
  item: OutboxItem;
  number: number;
  /** The core of this tab, which sends, holds it. */
  fed?: boolean;
  /** What its reader asked for while nobody could do it. */
  wish?: Wish | undefined;
  /** That it was tried is being stored. */
  marked?: Promise<void>;
}

/** Flag of a write that another one follows: nothing is sent before all are known. */
const MORE = 4;
const DISCARDED: Problem = {
  code: 'discarded',
  detail: 'Given up.',
  status: 0,
};

/** Writes that are over and remembered, so that nobody brings one back who has not heard of it. */
const REMEMBERED = 500;

/** The outbox of a browser, as one tab has it. */
export class Outbox extends FrameStore<readonly OutboxItem[]> implements OutboxHandle {
  readonly #host: OutboxHost;
  readonly #api: Api;
  readonly #storage: Storage;
  /** Called whenever what is shown of a thread may differ, and when a write is over. */
  readonly #changed: (write: Write, outcome?: Outcome) => void;
  readonly #entries = new Map<string, Held>();
  readonly #waiting = new Map<string, (outcome: Outcome) => void>();
  /** What another tab spoke of while the stored entries were being read: what was read of it is too old. */
  readonly #late = new Set<string>();
  #reading = 0;
  /** What this tab is about to store for the first time. */
  readonly #storing = new Set<string>();
  readonly #finished = new Map<string, Outcome>();
  #closed = false;
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
    return this.all().find(({ write }) => write.runId === runId)?.write.threadId;
  }

  /** Takes a write in. `stored` resolves when the browser has stored it, `sent` when the server has acknowledged it. */
  add(given: Write): { stored: Promise<void>; sent: Promise<unknown> } {
    const write = plainly(given);
    if (!write) {
      const sent = Promise.reject(new ProblemError(UNSPEAKABLE));
      sent.catch(() => {});
      return { stored: sent, sent };
    }
    const createdAt = Date.now();
    this.#order = Math.max(this.#order + 1, createdAt * 1_000);
    const entry: OutboxEntry = { write, order: this.#order, createdAt, tried: false, state: 'pending' };
    const sent = new Promise<unknown>((resolve, reject) => {
      this.#waiting.set(write.key, outcome => {
        if ('answer' in outcome) resolve(outcome.answer);
        else reject(new ProblemError(outcome.problem));
      });
    });
    // Not every caller waits for it: a rejection nobody handles would be reported.
    sent.catch(() => {});
    if (this.#closed) {
      this.#conclude(write.key, { problem: RELEASED });
      return { stored: sent as Promise<void>, sent };
    }
    this.#hold(entry);
    this.#storing.add(write.key);
    const stored = this.#storage.put('outbox', write.key, entry).then(() => {
      this.#storing.delete(write.key);
      // Neither, if it was given up meanwhile.
      this.#announce(write.key);
      this.#feed(write.key);
    });
    return { stored, sent };
  }

  retry(key: string): void {
    this.#wish(key, 'retry');
  }

  discard(key: string): void {
    this.#wish(key, 'discard');
  }

  /** Reads what is stored. After an absence, what is not is over. */
  async load(after: 'start' | 'absence' = 'start'): Promise<void> {
    this.#reading += 1;
    const entries = await this.#stored();
    this.#reading -= 1;
    if (this.#closed) return;
    if (after === 'absence' && !this.#storage.isDegraded('outbox')) this.#drop(entries);
    for (const entry of entries) {
      const { key } = entry.write;
      if (!this.#late.has(key) && !this.#finished.has(key)) this.#hold(entry);
    }
    if (this.#reading === 0) this.#late.clear();
    this.#feedAll();
  }

  /** The tab hears the others from now on: what it missed is over, and what it holds is announced. */
  async enter(): Promise<void> {
    await this.load('absence');
    for (const key of this.#entries.keys()) this.#announce(key);
  }

  /** Who sends from now on. */
  become(role: SyncStatus['role']): void {
    const sends = this.#role !== 'follower';
    this.#role = role;
    // The core of a tab that does not send holds nothing.
    if (role === 'follower') for (const held of this.#entries.values()) held.fed = false;
    if (role === 'follower' || sends) return;
    this.#host.broadcast({ say: 'entries' });
    this.#feedAll();
    void this.load();
  }

  /** A message from another tab's outbox. */
  receive(message: OutboxMessage): void {
    switch (message.say) {
      case 'entry': {
        const { key } = message.entry.write;
        const outcome = this.#finished.get(key);
        if (outcome) {
          if (this.#role !== 'follower') this.#host.broadcast({ say: 'over', key, outcome });
          break;
        }
        if (this.#reading > 0) this.#late.add(key);
        this.#hold(message.entry);
        this.#feed(key);
        break;
      }
      case 'over':
        this.#finish(message.key, message.outcome);
        break;
      case 'wish':
        if (this.#role !== 'follower') this.#wish(message.key, message.wish);
        break;
      case 'entries':
        for (const key of this.#entries.keys()) this.#announce(key);
        break;
    }
  }

  /** The core says that a write is to be sent. */
  async write(number: number): Promise<void> {
    const held = this.#numbered(number);
    await held?.marked;
    // Another tab sends by now: this one did nothing for so long that it was replaced.
    if (this.#role === 'follower') return;
    // Without a network the request does not leave, unless the server is on this machine.
    const off = offline();
    // Where another tab's answer came first, nothing is left to send.
    const tried: Tried = held ? await this.#api.try(held.entry.write) : { answer: undefined };
    if ('problem' in tried) {
      const { status, code, message, hint, retryAfterMs } = tried.problem;
      if (held) held.entry.error = { status, code, detail: message, hint };
      this.#host.call(Call.written, number, [off && !status ? 'offline' : code], status, retryAfterMs ?? -1);
      return;
    }
    // Even if another tab sends by now: this answer is as good as its own.
    if (held) this.#settle(held.entry.write.key, tried);
    this.#host.call(Call.written, number, [''], 200, -1);
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
      if (stage === 'sending' && !entry.tried && !offline()) {
        entry.tried = true;
        held.marked = this.#storage.put('outbox', key, entry);
      }
      if (stage === 'failed') void this.#storage.put('outbox', key, entry);
      this.#show(key);
      this.#host.broadcast({ say: 'entry', entry });
    }
  }

  /** Nothing is sent and nobody waits any more. */
  close(): void {
    this.#closed = true;
    this.#role = 'follower';
    for (const key of [...this.#waiting.keys()]) this.#conclude(key, { problem: RELEASED });
  }

  /** Nothing is shown any more. */
  clear(): void {
    for (const key of [...this.#entries.keys()]) this.#over(key, { problem: DISCARDED });
  }

  protected override take(): readonly OutboxItem[] {
    return this.#sorted().map(({ item }) => item);
  }

  /** What is stored; what is no write goes, but for what another release may know how to send. */
  async #stored(): Promise<OutboxEntry[]> {
    const entries: OutboxEntry[] = [];
    for (const [key, record] of await this.#storage.entries('outbox')) {
      const entry = entryIn(record);
      if (entry?.write.key === key) entries.push(entry);
      else if (!isNamed(record, key)) void this.#storage.delete('outbox', key);
    }
    return entries;
  }

  #sorted() {
    return [...this.#entries.values()].sort((a, b) => a.entry.order - b.entry.order);
  }

  #numbered(number: number) {
    return this.#sorted().find(held => held.number === number);
  }

  /** What is neither stored nor about to be is over, and this tab has not heard of it. */
  #drop(stored: readonly OutboxEntry[]): void {
    const known = new Set([...stored.map(({ write }) => write.key), ...this.#storing, ...this.#late]);
    for (const key of [...this.#entries.keys()]) if (!known.has(key)) this.#over(key, { problem: RELEASED });
  }

  /** Takes an entry of this or another tab up, or what is new about it. */
  #hold(entry: OutboxEntry): void {
    const { key } = entry.write;
    this.#order = Math.max(this.#order, entry.order);
    const held = this.#entries.get(key);
    if (held && this.#role !== 'follower') return;
    const number = held?.number ?? ++this.#numbers;
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
    // It stays, to be tried again or given up; its promise is settled now.
    if (state === 'failed' && error) this.#conclude(key, { problem: error });
  }

  #conclude(key: string, outcome: Outcome): void {
    this.#waiting.get(key)?.(outcome);
    this.#waiting.delete(key);
  }

  #announce(key: string): void {
    const held = this.#entries.get(key);
    if (!held) return;
    this.#host.broadcast({ say: 'entry', entry: held.entry });
    if (held.wish) this.#host.broadcast({ say: 'wish', key, wish: held.wish });
  }

  #feedAll(): void {
    for (const { entry, wish } of this.#sorted()) {
      if (wish) this.#wish(entry.write.key, wish);
      else this.#feed(entry.write.key, MORE);
    }
    this.#host.call(Call.tick, 0);
  }

  /**
   * Gives an entry to the core, if this tab's is the one that sends. Not while the stored entries are being read:
   * older ones go first.
   */
  #feed(key: string, more = 0): void {
    const held = this.#entries.get(key);
    if (!held || held.fed || this.#reading > 0 || this.#role === 'follower') return;
    const { entry, number } = held;
    if (entry.state === 'failed') return;
    const { threadId, runId, kind } = entry.write;
    const flags = (kind === 'stop' ? 1 : 0) | (entry.tried ? 2 : 0) | more;
    held.fed = true;
    if (this.#host.call(Call.write, number, [threadId, runId ?? ''], flags)) return;
    held.fed = false;
    entry.error = INVALID_ID;
    this.#restate(held, 'failed');
  }

  /** The write is in this state from now on, in the store and in the other tabs too. */
  #restate({ entry }: Held, state: OutboxItem['state']): void {
    const { key } = entry.write;
    entry.state = state;
    void this.#storage.put('outbox', key, entry);
    this.#show(key);
    this.#host.broadcast({ say: 'entry', entry });
  }

  #wish(key: string, wish: Wish): void {
    const held = this.#entries.get(key);
    if (!held) return;
    if (this.#role === 'follower') {
      // Kept until something is heard of the write: there may be nobody who leads.
      held.wish = wish;
      this.#host.broadcast({ say: 'wish', key, wish });
      return;
    }
    held.wish = undefined;
    const { number, entry } = held;
    if (entry.state !== 'failed' && held.fed)
      this.#host.call(wish === 'retry' ? Call.retry : Call.discard, number);
    else if (wish === 'discard') this.#settle(key, { problem: DISCARDED });
    else {
      if (entry.state === 'failed') {
        // Last in the core's order too: it gets a number of its own, and what the core has of the old one goes.
        held.number = ++this.#numbers;
        held.fed = false;
        this.#host.call(Call.discard, number);
        this.#restate(held, 'pending');
      }
      this.#feed(key);
    }
  }

  /** A write is over: forgotten here, in the store and in the other tabs. */
  #settle(key: string, outcome: Outcome): void {
    if (!this.#entries.has(key)) return;
    this.#finish(key, outcome);
    // A tab that reads the store now either does not find it or receives this.
    void this.#storage.delete('outbox', key).then(() => this.#host.broadcast({ say: 'over', key, outcome }));
  }

  #finish(key: string, outcome: Outcome): void {
    this.#finished.set(key, outcome);
    const [oldest = key] = this.#finished.keys();
    if (this.#finished.size > REMEMBERED) this.#finished.delete(oldest);
    this.#over(key, outcome);
  }

  #over(key: string, outcome: Outcome): void {
    const held = this.#entries.get(key);
    if (!held) return;
    this.#entries.delete(key);
    if (held.fed) this.#host.call(Call.discard, held.number);
    this.touch();
    this.#changed(held.entry.write, outcome);
    this.#conclude(key, outcome);
  }
}

function itemOf({ write, state, error, createdAt }: OutboxEntry): OutboxItem {
  const { key, kind, threadId, messageId, runId } = write;
  const [text, texts] = [textOf(write), textsOf(write)];
  return {
    key,
    kind,
    threadId,
    state,
    createdAt,
    ...(messageId && { messageId }),
    ...(runId && { runId }),
    ...(text && { text }),
    ...(texts && { texts }),
    ...(state === 'failed' && error && { error: new ProblemError(error) }),
  };
}
