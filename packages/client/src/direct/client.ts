//! The direct engine: the client's words without windows, sockets, tabs or WebAssembly. It reads threads whole
//! over HTTP and polls them. It is what an app falls back to, and the plain way that the other engine is
//! measured against.
//!
//! Room `direct`: an engine of its own over plain HTTP. It shares what stands below both engines, and knows nothing of
//! the core, of tabs and of the outbox.

import { Flags } from '../flags.js';
import { Frames, pageFrames } from '../page/frames.js';
import { listen } from '../page/listen.js';
import { StoredDrafts } from '../storage/drafts.js';
import { localStrings } from '../storage/local-strings.js';
import { Storage } from '../storage/storage.js';
import { Access, bindAccess } from '../transport/access.js';
import { Api } from '../transport/api.js';
import * as writes from '../transport/writes.js';
import { ProblemError, RELEASED, UNSPEAKABLE } from '../words/problem.js';
import type {
  Anchor,
  Client,
  ClientMetrics,
  ClientOptions,
  CreateThreadInput,
  ListHandle,
  OutboxHandle,
  OutboxItem,
  SendInput,
  SyncStatus,
  ThreadHandle,
} from '../words/types.js';
import { Counted } from './counted.js';
import { DirectList } from './list.js';
import { Poller, pageSurroundings, type Surroundings } from './poller.js';
import { bytesOf } from './size.js';
import { DirectStatus } from './status.js';
import { DirectThread, type ThreadOwner } from './thread.js';

/** Milliseconds between looks at the flags. */
const FLAGS_PACE = 4_000;

const NO_ITEMS: readonly OutboxItem[] = [];
/** Writes go out at once or fail: none waits. */
const NO_OUTBOX: OutboxHandle = {
  subscribe: () => () => {},
  getSnapshot: () => NO_ITEMS,
  retry: () => {},
  discard: () => {},
};

/** What the direct engine needs besides the options; a test brings its own. */
export interface DirectSurroundings {
  /** Why it is not the other engine. */
  reason?: SyncStatus['reason'];
  access?: Access;
  frames?: Frames;
  page?: Surroundings;
}

export class DirectClient implements Client {
  readonly status: DirectStatus;
  readonly outbox = NO_OUTBOX;
  readonly drafts: StoredDrafts;
  readonly flags: Flags;
  readonly #access: Access;
  /** What the other engine has kept for the user. */
  readonly #storage: Storage;
  readonly #api: Api;
  readonly #owner: ThreadOwner;
  readonly #views = new Counted<DirectThread>();
  readonly #lists = new Counted<DirectList>();
  readonly #flagsPoller: Poller;
  readonly #listeners = new AbortController();
  #windows = 0;

  constructor(options: ClientOptions, surroundings: DirectSurroundings = {}) {
    const strings = localStrings(options.storage);
    const access = surroundings.access ?? new Access(options);
    const frames = surroundings.frames ?? new Frames(pageFrames());
    const page = surroundings.page ?? pageSurroundings();
    this.status = new DirectStatus(frames, strings, surroundings.reason);
    this.#access = access;
    this.#storage = new Storage(access.name, options.storage ?? 'auto', () => {});
    this.drafts = new StoredDrafts(access.name, strings);
    this.flags = new Flags(frames, access, strings);
    this.#api = new Api(access);
    this.#owner = {
      access,
      frames,
      surroundings: page,
      watch: poll => this.status.watch(poll),
      windows: count => {
        this.#windows += count;
      },
    };
    this.#flagsPoller = new Poller(page, async () => {
      await this.status.watch(this.flags.refresh());
      return FLAGS_PACE;
    });
    this.#flagsPoller.kick();
    // The page may be about to go.
    const flush = () => this.drafts.flush();
    listen(globalThis, 'pagehide', this.#listeners.signal, flush);
    listen(globalThis.document, 'visibilitychange', this.#listeners.signal, flush);
    bindAccess(this, access, this.#listeners.signal);
  }

  info() {
    return this.#api.info();
  }

  thread(id: string, options: { branch?: string; anchor?: Anchor } = {}): ThreadHandle {
    const { branch } = options;
    return this.#views.take(
      `${id} ${branch ?? ''}`,
      released => new DirectThread(this.#owner, id, branch, released),
    );
  }

  threads(options: { title?: string } = {}): ListHandle {
    const { title } = options;
    return this.#lists.take(title ?? '', released => new DirectList(this.#owner, title, released));
  }

  prefetch(): void {
    // A whole thread is too much to read on a guess.
  }

  async createThread(input: CreateThreadInput) {
    const write = writes.createThread(input);
    await this.#write(write);
    return { threadId: write.threadId, ...writes.idsOf(write) };
  }

  async send(threadId: string, input: SendInput) {
    const write = writes.send(threadId, input);
    await this.#write(write);
    return { messageId: '', ...writes.idsOf(write) };
  }

  async edit(...input: Parameters<Client['edit']>) {
    return writes.writtenOf(await this.#write(writes.edit(...input)));
  }

  async regenerate(...input: Parameters<Client['regenerate']>) {
    return writes.regeneratedOf(await this.#write(writes.regenerate(...input)));
  }

  async stop(runId: string) {
    await this.#write(writes.stop('', runId));
  }

  async removeMessage(threadId: string, messageId: string) {
    await this.#write(writes.removeMessage(threadId, messageId));
  }

  async renameThread(id: string, title: string) {
    await this.#write(writes.renameThread(id, title));
  }

  async archiveThread(id: string, archived: boolean) {
    await this.#write(writes.archiveThread(id, archived));
  }

  async deleteThread(id: string) {
    await this.#write(writes.deleteThread(id));
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
    return {
      framesReceived: 0,
      framesForwarded: 0,
      framesHeard: 0,
      connections: 0,
      windowsFetched: this.#windows,
      threadsHeld: this.#views.size,
      bytesHeld: [...this.#views.views()].reduce((sum, view) => sum + bytesOf(view.getSnapshot().rows), 0),
      wasmBytes: 0,
      rowsHeld: [...this.#views.views()].map(view => view.getSnapshot().rows.length).filter(Boolean),
    };
  }

  async signOut(): Promise<void> {
    this.#access.end(RELEASED);
    this.close();
    this.drafts.clear();
    this.flags.clear();
    await this.#storage.destroy();
  }

  close(): void {
    this.#listeners.abort();
    this.drafts.flush();
    this.#flagsPoller.close();
    this.#views.close();
    this.#lists.close();
  }

  /** Sends, and looks at once at what may have changed: the thread written to, or every one if it is not known. */
  async #write(given: writes.Write): Promise<unknown> {
    const write = writes.plainly(given);
    if (!write) throw new ProblemError(UNSPEAKABLE);
    const answer = await this.status.write(this.#api.write(write));
    for (const view of this.#views.views()) {
      if (write.kind === 'stop' || view.threadId === write.threadId) view.refresh();
    }
    for (const list of this.#lists.views()) list.refresh();
    return answer;
  }
}
