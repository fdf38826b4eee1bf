//! The client: counts who shows what, and hands writes to the API.

import init, { Core, Signal, Wish } from '../wasm/threadmill_wasm.js';
import { Api } from './api.js';
import { Frames, pageFrames } from './frames.js';
import { Host, type Receiver } from './host.js';
import { ThreadList } from './list.js';
import { type Problem, ProblemError } from './problem.js';
import { FrameStore } from './store.js';
import { ThreadView } from './thread.js';
import type { Anchor, Client, ClientOptions, ListHandle, SyncStatus, ThreadHandle } from './types.js';
import { VERSION } from './version.js';

/** A view outlives its last release by this: React's strict mode and a quick change of route take it up. */
const GRACE = 1_000;

/** Loads the core and connects. Resolves as soon as threads can be opened, connected or not. */
export async function createClient(options: ClientOptions): Promise<Client> {
  await init({ module_or_path: options.wasm });
  return new Tab(options);
}

class Status extends FrameStore<SyncStatus> {
  #status: SyncStatus = { connection: 'connecting' };

  set(connection: SyncStatus['connection'], problem: Problem | null): void {
    this.#status = { connection, ...(problem ? { error: new ProblemError(problem) } : {}) };
    this.touch();
  }

  protected override take(): SyncStatus {
    const offline = this.#status.connection === 'reconnecting' && globalThis.navigator?.onLine === false;
    return offline ? { connection: 'offline' } : this.#status;
  }
}

/** What is shown under a key, and by how many. */
interface Shown<T> {
  number: number;
  handle: T;
  users: number;
  timer?: ReturnType<typeof setTimeout>;
}

class Tab implements Client {
  readonly status: Status;
  readonly #frames = new Frames(pageFrames());
  readonly #api: Api;
  readonly #host: Host;
  readonly #views = new Map<string, Shown<ThreadView>>();
  readonly #lists = new Map<string, Shown<ThreadList>>();
  readonly #wakeups = new AbortController();
  #counter = 0;

  constructor(options: ClientOptions) {
    const origin = new URL(options.url ?? '/', globalThis.location?.href).href.replace(/\/$/, '');
    this.status = new Status(this.#frames, { connection: 'connecting' });
    this.#api = new Api(`${origin}/v1`, options.user);
    const core = new Core(Math.random(), `threadmill-js/${VERSION}`);
    this.#host = new Host(core, this.#api, socketUrl(origin, options.user), this.#receiver());
    this.#host.signal(Signal.Start);
    this.#wake();
  }

  info() {
    return this.#api.info();
  }

  thread(id: string, options: { branch?: string; anchor?: Anchor } = {}): ThreadHandle {
    const key = `${id} ${options.branch ?? ''}`;
    const known = this.#views.get(key);
    if (known) {
      this.#take(known);
      if (options.anchor && options.anchor.at !== 'tip') known.handle.jumpTo(options.anchor).catch(ignore);
      return known.handle;
    }
    const number = ++this.#counter;
    const release = () => this.#release(this.#views, key, () => this.#host.ask(number, Wish.Release));
    const handle = new ThreadView(this.#host, this.#frames, id, number, release);
    this.#views.set(key, { number, handle, users: 1 });
    if (!this.#host.open(number, id, options.branch, options.anchor ?? { at: 'tip' })) {
      handle.apply([0, NOT_AN_ID]);
      return handle;
    }
    this.#api.thread(id).then(({ thread }) => handle.describe(pick(thread)), ignore);
    return handle;
  }

  threads(options: { title?: string } = {}): ListHandle {
    const key = options.title ?? '';
    const known = this.#lists.get(key);
    if (known) {
      this.#take(known);
      return known.handle;
    }
    const number = ++this.#counter;
    const release = () => this.#release(this.#lists, key, () => this.#host.ask(number, Wish.ReleaseList));
    const handle = new ThreadList(this.#host, this.#frames, number, release);
    this.#lists.set(key, { number, handle, users: 1 });
    this.#host.run((core, now) => core.openList(now, number, options.title));
    return handle;
  }

  createThread(...input: Parameters<Client['createThread']>) {
    return this.#api.createThread(...input);
  }

  send(...input: Parameters<Client['send']>) {
    return this.#api.send(...input);
  }

  edit(...input: Parameters<Client['edit']>) {
    return this.#api.edit(...input);
  }

  regenerate(...input: Parameters<Client['regenerate']>) {
    return this.#api.regenerate(...input);
  }

  stop(runId: string) {
    return this.#api.stop(runId);
  }

  removeMessage(threadId: string, messageId: string) {
    return this.#api.removeMessage(threadId, messageId);
  }

  renameThread(id: string, title: string) {
    return this.#api.patchThread(id, { title });
  }

  archiveThread(id: string, archived: boolean) {
    return this.#api.patchThread(id, { archived });
  }

  deleteThread(id: string) {
    return this.#api.deleteThread(id);
  }

  wholePart(threadId: string, messageId: string, part: number) {
    return this.#api.wholePart(threadId, messageId, part);
  }

  close(): void {
    this.#wakeups.abort();
    this.#host.close();
    for (const { handle, timer } of [...this.#views.values(), ...this.#lists.values()]) {
      clearTimeout(timer);
      handle.dispose();
    }
    this.#views.clear();
    this.#lists.clear();
  }

  #receiver(): Receiver {
    const find = <T>(all: Map<string, Shown<T>>, number: number) =>
      [...all.values()].find(shown => shown.number === number)?.handle;
    return {
      view: (number, patch) => find(this.#views, number)?.apply(patch),
      list: (number, patch) => find(this.#lists, number)?.apply(patch),
      status: (connection, problem) => this.status.set(connection, problem),
    };
  }

  #take<T>(shown: Shown<T>): void {
    shown.users += 1;
    clearTimeout(shown.timer);
  }

  #release<T extends { dispose(): void }>(all: Map<string, Shown<T>>, key: string, end: () => void): void {
    const shown = all.get(key);
    if (!shown || shown.users === 0 || --shown.users > 0) return;
    shown.timer = setTimeout(() => {
      all.delete(key);
      end();
      shown.handle.dispose();
    }, GRACE);
  }

  /** The network or the reader is back. */
  #wake(): void {
    const wake = () => this.#host.signal(Signal.Wake);
    const { signal } = this.#wakeups;
    globalThis.addEventListener?.('online', wake, { signal });
    globalThis.addEventListener?.('pageshow', wake, { signal });
    globalThis.document?.addEventListener(
      'visibilitychange',
      () => {
        if (document.visibilityState === 'visible') wake();
      },
      { signal },
    );
  }
}

const NOT_AN_ID = {
  status: 'error',
  error: { code: 'invalid_id', detail: 'This is not an id of a thread, branch or message.', status: 400 },
  total: 0,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
} as const;

/** A browser cannot set headers on a socket: the development identity goes into the query. */
function socketUrl(origin: string, user: string | undefined): string {
  const url = new URL(`${origin}/v1/sync`);
  url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
  if (user !== undefined) url.searchParams.set('user', user);
  return url.href;
}

function pick(thread: { title: string; defaultBranch: string }) {
  return { title: thread.title, defaultBranch: thread.defaultBranch };
}

/** The failure reaches the reader another way: through the view's own state. */
function ignore(): void {}
