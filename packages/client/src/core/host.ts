//! Drives the core: the connection, the other tabs, one timer, and the pages it asks for.
//!
//! Room `core`: the core in WebAssembly, the numbers of its calls and outputs, and the host that does what it asks for.
//! It knows no view and no write: what the core says of them goes to a `Receiver`.

import { listen } from '../page/listen.js';
import { soon } from '../page/promises.js';
import type { LocalStrings } from '../storage/local-strings.js';
import { canShare, TabChannel } from '../tabs/tab-channel.js';
import { type Access, claimsOf } from '../transport/access.js';
import { Link, type LoadRequests } from '../transport/link.js';
import type { Problem } from '../words/problem.js';
import type { Anchor, ClientMetrics, SyncStatus } from '../words/types.js';
import { Call, type CallKind, type Core } from './core.js';
import { decode } from './decode.js';
import type { StatusNews } from './status.js';
import { type ListPatch, OUT, type Output, type Stage, type ViewPatch } from './wire.js';

const CBOR = 'application/cbor';
const NO_BODY = new Uint8Array();
/** Milliseconds until a credential is asked for again that could not be had. */
const RENEW_AGAIN = 5_000;
/** The longest a timer can wait. */
const LONGEST = 2 ** 31 - 1;

/** Where the core's changes go. */
export interface Receiver {
  view(view: number, patch: ViewPatch): void;
  dropped(view: number): void;
  list(list: number, patch: ListPatch): void;
  /** A window or a page of the list was answered, or not for a fault of the server's. */
  answered(path: string, fault: Problem | undefined): void;
  status(news: StatusNews): void;
  /** A connection was closed, or did not come to stand. */
  failed(): void;
  /** The other tabs, if there are any, hear this one from now on. */
  entered(): void;
  role(role: SyncStatus['role']): void;
  transport(transport: SyncStatus['transport']): void;
  /** The feature flags may have changed. */
  flags(): void;
  /** Send a write, and tell the core what became of it. */
  write(number: number): void;
  writing(number: number, stage: Stage): void;
  /** Another tab's client sent a message. */
  message(message: unknown): void;
}

/** What the host needs to know of its surroundings. */
export interface HostOptions {
  readonly strings: LocalStrings;
  readonly tabs: 'auto' | 'off';
  readonly socketUrl: string;
  /** Bytes of the core's memory. */
  readonly memory: () => number;
}

export class Host {
  /**
   * What tabs of the same user, server and protocol share: the channel, the lock, and the key of the last epoch, which
   * is kept so that a browser's next leader is later than any before.
   */
  readonly name: string;
  readonly #core: Core;
  readonly #access: Access;
  readonly #receiver: Receiver;
  readonly #link: Link;
  readonly #options: HostOptions;
  #channel: TabChannel | undefined;
  readonly #listeners = new AbortController();
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** When the timer fires. */
  #due = Number.POSITIVE_INFINITY;
  #renewal: ReturnType<typeof setTimeout> | undefined;
  #role: SyncStatus['role'] = 'solo';
  #draining = false;
  #over = false;
  readonly #counts = {
    framesReceived: 0,
    framesForwarded: 0,
    framesHeard: 0,
    connections: 0,
    windowsFetched: 0,
  };

  constructor(core: Core, access: Access, options: HostOptions, receiver: Receiver) {
    this.#core = core;
    this.#access = access;
    this.name = `threadmill:1:${access.name}`;
    this.#receiver = receiver;
    this.#options = options;
    const events = {
      opened: () => this.call(Call.opened),
      closed: () => {
        this.#receiver.failed();
        this.call(Call.closed);
      },
      received: (frame: Uint8Array<ArrayBuffer>) => {
        this.#counts.framesReceived++;
        this.call(Call.received, 0, [frame]);
      },
    };
    const requests: LoadRequests = async (...way) =>
      new (await import('../transport/fallback.js')).FramesByRequest(access, events, ...way);
    this.#link = new Link(options.socketUrl, requests, events);
  }

  /** Connects, on its own or together with the other tabs. */
  async start(): Promise<void> {
    const { name } = this;
    // Where the browser does not say in time whether there are locks, this tab goes alone.
    const shares = this.#options.tabs === 'auto' && soon(canShare(name));
    await this.#renew();
    const shared = await shares;
    if (this.#over) return;
    if (shared) {
      this.#channel = new TabChannel(name, {
        granted: () => this.call(Call.lead, epochOf(this.#options.strings.get(name))),
        stolen: () => this.call(Call.robbed),
        frame: frame => {
          this.#counts.framesHeard++;
          this.call(Call.heard, 0, [frame]);
        },
        message: message => this.#receiver.message(message),
      });
    }
    this.#listen();
    this.#enter();
  }

  /** Calls the core and does what follows from it. False if an id is none, and always after `close`. */
  call(kind: CallKind, a?: number, texts?: (string | Uint8Array)[], b?: number, c?: number): boolean {
    if (this.#over) return false;
    const known = this.#core.call(kind, performance.now(), a, texts, b, c);
    this.#drain();
    return known === 1;
  }

  open(view: number, thread: string, branch: string, anchor: Anchor): boolean {
    const [name, at] = anchorOf(anchor);
    return this.call(Call.open, view, [thread, branch, name], at);
  }

  jump(view: number, anchor: Anchor): boolean {
    const [name, at] = anchorOf(anchor);
    return this.call(Call.jump, view, [name], at);
  }

  /** Sends a message to the clients of the other tabs. */
  broadcast(message: unknown): void {
    this.#channel?.post(message);
  }

  metrics(): Omit<ClientMetrics, 'rowsHeld'> {
    const ask = (kind: CallKind) => (this.#over ? 0 : this.#core.call(kind, 0));
    const held = { threadsHeld: ask(Call.views), bytesHeld: ask(Call.bytes) };
    return { ...this.#counts, ...held, wasmBytes: this.#options.memory() };
  }

  close(): void {
    if (this.#over) return;
    this.#listeners.abort();
    clearTimeout(this.#renewal);
    this.#leave();
    clearTimeout(this.#timer);
    this.#over = true;
    this.#core.end();
  }

  #enter(): void {
    if (this.#channel) {
      if (globalThis.document?.visibilityState === 'hidden') this.call(Call.hidden);
      this.#channel.open();
      this.call(Call.join);
    } else this.call(Call.start);
    this.#receiver.entered();
  }

  #leave(): void {
    this.call(Call.stop);
    this.#channel?.close();
  }

  /** What happens to the page and the network. */
  #listen(): void {
    const { signal } = this.#listeners;
    const wake = () => this.call(Call.wake);
    listen(globalThis, 'online', signal, wake);
    // A socket can outlive its network for as long as the heartbeat may be silent: it is asked to prove itself now.
    listen(globalThis, 'offline', signal, wake);
    listen(globalThis.document, 'resume', signal, wake);
    listen(globalThis.document, 'visibilitychange', signal, () => {
      this.call(document.visibilityState === 'hidden' ? Call.hidden : Call.shown);
      if (this.#role === 'follower') this.#channel?.waitForLock();
    });
    // A page that is put aside for going back holds no lock, no socket and no channel, or it would not be put aside.
    listen(globalThis, 'pagehide', signal, () => this.#leave());
    listen(globalThis, 'pageshow', signal, event => {
      if ((event as PageTransitionEvent).persisted) this.#enter();
    });
  }

  /** A patch may lead to another input: the loop picks up what that brings. */
  #drain(): void {
    if (this.#draining) return;
    this.#draining = true;
    try {
      let more = true;
      while (more) {
        const outputs = decode(this.#core.poll()) as Output[];
        for (const output of outputs) this.#do(output);
        this.#link.flush();
        more = outputs.length > 1;
      }
    } finally {
      this.#draining = false;
    }
  }

  #do(output: Output): void {
    switch (output[0]) {
      case OUT.connect:
        this.#counts.connections++;
        this.#receiver.transport(output[1]);
        this.#link.connect(output[1]);
        break;
      case OUT.disconnect:
        void this.#link.disconnect();
        break;
      case OUT.send:
        this.#link.send(output[1]);
        break;
      case OUT.post:
        this.#counts.framesForwarded++;
        this.#channel?.post(output[1]);
        break;
      case OUT.fetchWindow:
        this.#counts.windowsFetched++;
        void this.#fetchWindow(output[1], output[2]);
        break;
      case OUT.fetchList:
        void this.#fetchList(output[1], output[2]);
        break;
      case OUT.view:
        this.#receiver.view(output[1], output[2]);
        break;
      case OUT.dropped:
        this.#receiver.dropped(output[1]);
        break;
      case OUT.list:
        this.#receiver.list(output[1], output[2]);
        break;
      case OUT.status:
        this.#receiver.status(output[1]);
        break;
      case OUT.role:
        this.#become(output[1], output[2]);
        break;
      case OUT.renew:
        void this.#renew();
        break;
      case OUT.flags:
        this.#receiver.flags();
        break;
      case OUT.write:
        this.#receiver.write(output[1]);
        break;
      case OUT.writing:
        this.#receiver.writing(output[1], output[2]);
        break;
      case OUT.steal:
        this.#channel?.stealLock();
        break;
      case OUT.wait:
        this.#wait(output[1]);
        break;
    }
  }

  #become(role: SyncStatus['role'], epoch: number): void {
    const led = this.#role === 'leader' && role === 'follower';
    this.#role = role;
    if (role === 'leader') this.#options.strings.set(this.name, String(epoch));
    // Only when the server has seen the connection close may the next leader open another one.
    if (led)
      void this.#link.disconnect().then(() => this.#role === 'follower' && this.#channel?.waitForLock());
    this.#receiver.role(role);
  }

  async #renew(): Promise<void> {
    let left = RENEW_AGAIN;
    try {
      const token = await this.#access.renew();
      if (token === undefined) return;
      this.call(Call.token, 0, [token]);
      left = ((claimsOf(token).exp ?? 0) * 1_000 - Date.now()) * 0.8;
    } catch {
      // What `getToken` asks may be out of reach too.
    }
    clearTimeout(this.#renewal);
    if (left > 0 && !this.#over) {
      this.#renewal = setTimeout(() => void this.#renew(), Math.min(left, LONGEST));
    }
  }

  /**
   * Nearly every input moves what is due to a later time. A timer that is set stays then, and finds nothing due when it
   * fires: to set another costs more than the core takes for a frame.
   */
  #wait(until: number | null): void {
    if (until !== null && until >= this.#due) return;
    clearTimeout(this.#timer);
    this.#due = until ?? Number.POSITIVE_INFINITY;
    if (until === null) return;
    // Timers may fire a little early; a millisecond more spares a tick that finds nothing due.
    const wait = Math.max(0, until - performance.now()) + 1;
    this.#timer = setTimeout(() => {
      this.#due = Number.POSITIVE_INFINITY;
      this.call(Call.tick);
    }, wait);
  }

  async #fetchWindow(request: number, path: string): Promise<void> {
    const [body, ok] = await this.#read(path, CBOR);
    this.call(ok ? Call.page : Call.pageFailed, request, [body]);
  }

  async #fetchList(request: number, path: string): Promise<void> {
    const [body, ok] = await this.#read(path, 'application/json');
    const page = ok ? parse<ListPage>(body) : undefined;
    if (!page) {
      this.call(Call.listFailed, request);
      return;
    }
    for (const { id, title, snippet, pos, running, archived, deleted, updatedAt } of page.threads) {
      const flags = (running ? 1 : 0) | (archived ? 2 : 0) | (deleted ? 4 : 0);
      this.call(Call.entry, pos, [id, title, snippet], flags, Date.parse(updatedAt));
    }
    this.call(Call.listPage, request, [page.nextPage ?? ''], page.pos);
  }

  async #read(path: string, accept: string): Promise<[Uint8Array, boolean]> {
    try {
      const response = await this.#access.fetch(path, { headers: { accept } });
      const body = new Uint8Array(await response.arrayBuffer());
      const { ok, status } = response;
      // The core asks again and says nothing of it: whoever waits is to know why.
      const fault = status < 500 ? undefined : (await import('./fault.js')).faultOf(status, body, decode);
      this.#receiver.answered(path, fault);
      return [body, ok];
    } catch {
      return [NO_BODY, false];
    }
  }
}

interface ListPage {
  threads: {
    id: string;
    pos: number;
    title: string;
    snippet: string;
    running: boolean;
    archived: boolean;
    deleted?: boolean;
    updatedAt: string;
  }[];
  nextPage?: string | null;
  pos: number;
}

function parse<T>(body: Uint8Array): T | undefined {
  try {
    return JSON.parse(new TextDecoder().decode(body)) as T;
  } catch {
    return undefined;
  }
}

/** The last epoch that was kept; none if it is no number that an epoch can be. */
function epochOf(kept: string | undefined): number {
  const epoch = Number(kept);
  return Number.isSafeInteger(epoch) && epoch > 0 ? epoch : 0;
}

function anchorOf(anchor: Anchor): [string, number] {
  switch (anchor.at) {
    case 'tip':
      return ['tip', 0];
    case 'depth':
      return ['depth', anchor.depth];
    case 'message':
      return [`message:${anchor.id}`, 0];
    case 'time':
      return ['time', anchor.ms];
  }
}
