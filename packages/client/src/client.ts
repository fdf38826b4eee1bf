//! The client of the sync engine: counts who shows what, and brings the core, the outbox and what the browser keeps
//! together.

import { Call, Core, type CoreModule } from './core/core.js';
import { Host, type Receiver } from './core/host.js';
import { offline, Status } from './core/status.js';
import { VIEW } from './core/wire.js';
import type { Flags } from './flags.js';
import { Outbox, type OutboxHost, type OutboxMessage } from './outbox/outbox.js';
import type { Pending } from './outbox/overlay.js';
import type { Frames } from './page/frames.js';
import { listen } from './page/listen.js';
import { StoredDrafts } from './storage/drafts.js';
import { type LocalStrings, localStrings } from './storage/local-strings.js';
import type { CachedWindow } from './storage/records.js';
import { Storage } from './storage/storage.js';
import { WindowCache } from './storage/window-cache.js';
import { type Access, bindAccess } from './transport/access.js';
import { Api } from './transport/api.js';
import * as writes from './transport/writes.js';
import { ThreadList } from './views/list.js';
import { NOTHING, ThreadView } from './views/thread.js';
import { INVALID_ID, type ProblemError, RELEASED } from './words/problem.js';
import type {
  Anchor,
  Client,
  ClientMetrics,
  ClientOptions,
  CreateThreadInput,
  ListHandle,
  SendInput,
  ThreadHandle,
  ThreadSnapshot,
} from './words/types.js';

/** A view outlives its last release by this: React's strict mode and a quick change of route take it up. */
const GRACE = 1_000;
/** Stored while a user is signed in: a tab that finds it gone has missed that the user signed out. */
const SIGNED_IN = 'threadmill.signed-in.';

/** What is shown under a key, and by how many. */
interface Shown<T> {
  number: number;
  handle: T;
  users: number;
  timer?: ReturnType<typeof setTimeout> | undefined;
  /** Nobody looks; it is kept as long as there is room. */
  resting: boolean;
  /** Asks the server for it, once its thread is there; absent when that was done. */
  ask?: (() => void) | undefined;
}

/** A message between the clients of a browser's tabs. Its words stay: tabs of two releases may be open at once. */
type TabMessage =
  | { readonly about: 'outbox'; readonly message: OutboxMessage }
  | { readonly about: 'sign-out' };

export class SyncClient implements Client {
  readonly status: Status;
  readonly outbox: Outbox;
  readonly drafts: StoredDrafts;
  readonly flags: Flags;
  readonly #access: Access;
  readonly #strings: LocalStrings;
  readonly #signedIn: string;
  readonly #frames: Frames;
  readonly #api: Api;
  readonly #host: Host;
  readonly #storage: Storage;
  readonly #cache: WindowCache;
  readonly #views = new Map<string, Shown<ThreadView>>();
  readonly #lists = new Map<string, Shown<ThreadList>>();
  readonly #listeners = new AbortController();
  #counter = 0;

  constructor(options: ClientOptions, access: Access, frames: Frames, flags: Flags, module: CoreModule) {
    const { name } = access;
    const degraded = () => this.status.set({ storage: 'degraded' });
    const strings = localStrings(options.storage, degraded);
    this.#access = access;
    this.#strings = strings;
    this.#frames = frames;
    this.flags = flags;
    this.drafts = new StoredDrafts(name, strings);
    this.status = new Status(frames);
    this.#api = new Api(access);
    if (strings.state === 'degraded') degraded();
    // What the server has too is only slower to come when it is not kept.
    this.#storage = new Storage(name, options.storage ?? 'auto', table => table === 'outbox' && degraded());
    this.#cache = new WindowCache(this.#storage);
    const core = new Core(module, Math.random());
    if (options.maxBytes !== undefined) core.call(Call.room, 0, options.maxBytes);
    const tabs = options.tabs ?? 'auto';
    const surroundings = { strings, tabs, socketUrl: socketUrl(access), memory: () => module.bytes };
    this.#host = new Host(core, access, surroundings, this.#receiver());
    const host: OutboxHost = {
      call: (kind, number, texts, b, c) => this.#host.call(kind, number, texts, b, c),
      broadcast: message => this.#host.broadcast({ about: 'outbox', message } satisfies TabMessage),
    };
    this.outbox = new Outbox(frames, host, this.#api, this.#storage, (write, outcome) => {
      this.#pend(write, outcome !== undefined && 'answer' in outcome);
    });
    bindAccess(this, access, this.#listeners.signal);
    this.#signedIn = SIGNED_IN + name;
    strings.set(this.#signedIn, '1');
    this.#listen();
    void this.outbox.load();
    void this.#host.start();
  }

  info() {
    return this.#api.info();
  }

  thread(id: string, options: { branch?: string; anchor?: Anchor } = {}): ThreadHandle {
    const anchor = options.anchor ?? { at: 'tip' };
    const key = `${id} ${options.branch ?? ''}`;
    const known = this.#views.get(key);
    if (known) {
      this.#take(known);
      const { hasNewer, status } = known.handle.getSnapshot();
      const elsewhere = anchor.at !== 'tip' || (known.users === 1 && hasNewer) || status === 'error';
      if (elsewhere) known.handle.jumpTo(anchor).catch(ignore);
      return known.handle;
    }
    return this.#open(key, id, options.branch, anchor).handle;
  }

  threads(options: { title?: string } = {}): ListHandle {
    const key = options.title ?? '';
    const known = this.#lists.get(key);
    if (known) {
      this.#take(known);
      return known.handle;
    }
    const number = ++this.#counter;
    const handle = new ThreadList(this.#host, this.#frames, number, {
      released: () => this.#releaseList(key),
      ...(key === '' && {
        published: threads => this.#cache.keepList(threads),
        removed: id => this.#cache.forget(id),
      }),
    });
    this.#lists.set(key, { number, handle, users: 1, resting: false });
    handle.pend(this.#pendingFor(key));
    this.#host.call(Call.openList, number, [key]);
    if (key === '') void this.#cache.list().then(list => list && handle.restore(list));
    return handle;
  }

  prefetch(id: string): void {
    const key = `${id} `;
    if (this.#views.has(key)) return;
    const shown = this.#open(key, id, undefined, { at: 'tip' });
    shown.users = 0;
    this.#rest(shown);
  }

  async createThread(input: CreateThreadInput) {
    const write = writes.createThread(input);
    await this.outbox.add(write).stored;
    return { threadId: write.threadId, ...writes.idsOf(write) };
  }

  async send(threadId: string, input: SendInput) {
    const write = writes.send(threadId, input);
    await this.outbox.add(write).stored;
    return { messageId: '', ...writes.idsOf(write) };
  }

  async edit(...input: Parameters<Client['edit']>) {
    return writes.writtenOf(await this.outbox.add(writes.edit(...input)).sent);
  }

  async regenerate(...input: Parameters<Client['regenerate']>) {
    return writes.regeneratedOf(await this.outbox.add(writes.regenerate(...input)).sent);
  }

  async stop(runId: string): Promise<void> {
    const shown = [...this.#views.values()].find(({ handle }) => handle.getSnapshot().run?.id === runId);
    const threadId = this.outbox.threadOf(runId) ?? shown?.handle.threadId ?? runId;
    await this.#sent(writes.stop(threadId, runId));
  }

  removeMessage(threadId: string, messageId: string): Promise<void> {
    return this.#sent(writes.removeMessage(threadId, messageId));
  }

  renameThread(id: string, title: string): Promise<void> {
    return this.#sent(writes.renameThread(id, title));
  }

  archiveThread(id: string, archived: boolean): Promise<void> {
    return this.#sent(writes.archiveThread(id, archived));
  }

  deleteThread(id: string): Promise<void> {
    return this.#sent(writes.deleteThread(id));
  }

  async #sent(write: writes.Write): Promise<void> {
    await this.outbox.add(write).sent;
  }

  whole(threadId: string, messageId: string) {
    return this.#api.whole(threadId, messageId);
  }

  wholePart(threadId: string, messageId: string, part: number) {
    return this.#api.wholePart(threadId, messageId, part);
  }

  feedback(...input: Parameters<Client['feedback']>) {
    return this.#api.feedback(...input);
  }

  metrics(): ClientMetrics {
    const rowsHeld = [...this.#views.values()].map(({ handle }) => handle.getSnapshot().rows.length);
    return { ...this.#host.metrics(), rowsHeld: rowsHeld.filter(Boolean) };
  }

  async signOut(): Promise<void> {
    this.#host.broadcast({ about: 'sign-out' } satisfies TabMessage);
    this.#forget();
    for (const key of [this.#host.name, this.#signedIn]) this.#strings.remove(key);
    await this.#storage.destroy();
  }

  close(): void {
    this.#flush();
    this.#shut();
  }

  #flush(): void {
    this.#cache.flush();
    this.drafts.flush();
  }

  /** Nothing is said, asked or kept any more. */
  #shut(): void {
    this.#listeners.abort();
    this.#cache.close();
    this.outbox.close();
    this.#host.close();
    this.#storage.close();
    for (const { handle, timer } of [...this.#views.values(), ...this.#lists.values()]) {
      clearTimeout(timer);
      handle.dispose();
    }
    this.#views.clear();
    this.#lists.clear();
  }

  /** Nothing of the user stays in this tab; what others have stored is for the one in which the user signed out. */
  #forget(): void {
    this.#shut();
    this.#access.end(RELEASED);
    this.outbox.clear();
    this.drafts.clear();
    this.flags.clear();
  }

  #open(key: string, id: string, branch: string | undefined, anchor: Anchor): Shown<ThreadView> {
    const number = ++this.#counter;
    const handle = new ThreadView(this.#host, this.#frames, id, number, {
      released: () => this.#releaseView(key),
      published: snapshot => this.#keep(handle, snapshot),
    });
    const shown: Shown<ThreadView> = { number, handle, users: 1, resting: false };
    this.#views.set(key, shown);
    handle.pend(this.outbox.of(id));
    shown.ask = () => this.#ask(shown, branch, anchor);
    this.#askIfThere(shown);
    return shown;
  }

  /** A thread that waits in the outbox is not there to be asked for. */
  #askIfThere(shown: Shown<ThreadView>): void {
    const { ask, handle } = shown;
    if (!ask || this.outbox.of(handle.threadId).some(({ write }) => write.kind === 'create')) return;
    shown.ask = undefined;
    ask();
  }

  #ask({ number, handle, resting }: Shown<ThreadView>, branch: string | undefined, anchor: Anchor): void {
    const id = handle.threadId;
    if (!this.#host.open(number, id, branch ?? '', anchor)) {
      handle.apply([VIEW.head, { ...NOTHING, status: 'error', error: INVALID_ID }]);
      return;
    }
    if (resting) this.#host.call(Call.rest, number);
    void this.#cache.window(id).then(window => {
      if (window && isOf(window, branch) && holds(window, anchor)) handle.restore(window);
    });
    this.#api.thread(id).then(({ thread }) => handle.describe(pick(thread)), ignore);
  }

  /** What is seen at a thread's tip is kept; of a thread that is gone, nothing. */
  #keep(view: ThreadView, snapshot: ThreadSnapshot): void {
    const gone = snapshot.status === 'deleted' || snapshot.error?.code === 'thread_not_found';
    if (gone) this.#cache.forget(view.threadId);
    else if (snapshot.status === 'ready' && snapshot.source === 'live' && !snapshot.hasNewer) {
      this.#cache.keepWindow(view.threadId, snapshot, row => view.parts(row));
    }
  }

  /** What the outbox has for a list: what is new is in the list of all threads alone, whatever its title is. */
  #pendingFor(title: string): Pending[] {
    const all = this.outbox.all();
    return title === '' ? all : all.filter(({ write }) => write.kind !== 'create');
  }

  /** The outbox of a thread changed. */
  #pend(write: writes.Write, acknowledged: boolean): void {
    if (acknowledged && write.kind === 'delete') this.#cache.forget(write.threadId);
    for (const shown of this.#views.values()) {
      const { handle } = shown;
      if (handle.threadId !== write.threadId) continue;
      handle.pend(this.outbox.of(write.threadId));
      if (acknowledged) handle.acknowledge(write);
      this.#askIfThere(shown);
    }
    for (const [title, { handle }] of this.#lists) handle.pend(this.#pendingFor(title));
    const all = this.outbox.all();
    const failed = all.filter(({ item }) => item.state === 'failed').length;
    this.status.set({ pending: all.length - failed, failed });
  }

  #receiver(): Receiver {
    const find = <T>(all: Map<string, Shown<T>>, number: number) =>
      [...all.values()].find(shown => shown.number === number)?.handle;
    return {
      view: (number, patch) => find(this.#views, number)?.apply(patch),
      dropped: number => this.#drop(number),
      list: (number, patch) => find(this.#lists, number)?.apply(patch),
      answered: (path, fault) => {
        for (const { handle } of [...this.#views.values(), ...this.#lists.values()])
          if (handle.reads(path)) handle.answered(fault);
      },
      status: news => this.status.connected(news),
      failed: () => void this.#explain(),
      role: role => {
        this.status.set({ role });
        this.outbox.become(role);
      },
      entered: () => void this.outbox.enter(),
      transport: transport => this.status.set({ transport }),
      flags: () => void this.flags.refresh().catch(ignore),
      write: number => void this.outbox.write(number),
      writing: (number, stage) => this.outbox.writing(number, stage),
      message: message => this.#receive(message as TabMessage),
    };
  }

  /** Says it if the server refuses pages of this origin: it would look as if it were out of reach. */
  async #explain(): Promise<void> {
    if (this.status.getSnapshot().connection === 'live') return;
    const problem = await this.#access.unanswered();
    this.status.refuse(problem.status === 0 ? undefined : problem);
  }

  #receive(received: TabMessage): void {
    if (received.about === 'outbox') this.outbox.receive(received.message);
    else this.#forget();
  }

  #take<T>(shown: Shown<T>): void {
    shown.users += 1;
    clearTimeout(shown.timer);
    shown.timer = undefined;
    if (shown.resting) {
      shown.resting = false;
      this.#host.call(Call.resume, shown.number);
    }
  }

  #rest(shown: Shown<ThreadView>): void {
    shown.resting = true;
    this.#host.call(Call.rest, shown.number);
  }

  #releaseView(key: string): void {
    this.#letGo(this.#views.get(key), shown => {
      // What shows nothing is not worth keeping.
      if (shown.handle.getSnapshot().status === 'ready') this.#rest(shown);
      else {
        this.#host.call(Call.release, shown.number);
        this.#drop(shown.number);
      }
    });
  }

  #releaseList(key: string): void {
    this.#letGo(this.#lists.get(key), ({ number, handle }) => {
      this.#lists.delete(key);
      this.#host.call(Call.releaseList, number);
      handle.dispose();
    });
  }

  #letGo<T>(shown: Shown<T> | undefined, then: (shown: Shown<T>) => void): void {
    if (shown && shown.users > 0 && --shown.users === 0) shown.timer = setTimeout(then, GRACE, shown);
  }

  /** The core does not hold the view any more. */
  #drop(number: number): void {
    for (const [key, shown] of this.#views) {
      if (shown.number !== number) continue;
      this.#views.delete(key);
      shown.handle.dispose();
    }
  }

  #listen(): void {
    const { signal } = this.#listeners;
    // What is due is written before the page may go.
    const flush = () => this.#flush();
    listen(globalThis, 'pagehide', signal, flush);
    listen(globalThis.document, 'visibilitychange', signal, flush);
    // A page that was put aside, or that shares no channel, is not told that the user signed out.
    const look = () => this.#strings.get(this.#signedIn) === undefined && this.#forget();
    listen(globalThis, 'pageshow', signal, look);
    listen(globalThis, 'storage', signal, event => (event as StorageEvent).key === this.#signedIn && look());
    listen(this.#access.ended, 'abort', signal, () => {
      this.close();
      this.status.connected({ connection: 'refused', error: this.#access.ended.reason as ProblemError });
    });
  }
}

/** A browser cannot set headers on a socket: the development identity goes into the query. */
function socketUrl({ base, user }: Access): string {
  const url = new URL(`${base}/sync`);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (user !== undefined) url.searchParams.set('user', user);
  return url.href;
}

/**
 * Whether a kept window is of the branch that a view opens; what is kept is the one that was seen last. Where none is
 * named it is the default one: a message sent from it goes to the branch it shows. Without a network it is all there is.
 */
function isOf(window: CachedWindow, branch: string | undefined): boolean {
  return (branch ?? (offline() ? window.branch : window.defaultBranch)) === window.branch;
}

/** Whether a kept window shows what a view opens at. Without a network it is shown anyway: it is all there is. */
function holds({ rows }: CachedWindow, anchor: Anchor): boolean {
  if (anchor.at === 'tip' || offline()) return true;
  return anchor.at === 'message' && rows.some(row => row.id === anchor.id);
}

function pick(thread: { title: string; defaultBranch: string }) {
  return { title: thread.title, defaultBranch: thread.defaultBranch };
}

/** The failure reaches the reader another way: through the view's own state. */
function ignore(): void {}
