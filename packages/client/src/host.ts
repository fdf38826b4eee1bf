//! Drives the core: one socket, one timer, and the pages it asks for.

import { type Core, Signal, type Wish } from '../wasm/threadmill_wasm.js';
import type { Api } from './api.js';
import { decode } from './decode.js';
import type { Problem } from './problem.js';
import type { Anchor, SyncStatus } from './types.js';
import { type ListPatch, OUT, type Output, type ViewPatch } from './wire.js';

const SUBPROTOCOL = 'threadmill.v1.cbor';
const CBOR = 'application/cbor';
const NO_BODY = new Uint8Array();

/** Where the core's changes go. */
export interface Receiver {
  view(view: number, patch: ViewPatch): void;
  list(list: number, patch: ListPatch): void;
  status(connection: SyncStatus['connection'], problem: Problem | null): void;
}

export class Host {
  readonly #core: Core;
  readonly #api: Api;
  readonly #url: string;
  readonly #receiver: Receiver;
  #socket: WebSocket | undefined;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #draining = false;

  constructor(core: Core, api: Api, url: string, receiver: Receiver) {
    this.#core = core;
    this.#api = api;
    this.#url = url;
    this.#receiver = receiver;
  }

  /** Gives the core one input and does what follows from it. */
  run<T>(act: (core: Core, now: number) => T): T {
    const result = act(this.#core, performance.now());
    this.#drain();
    return result;
  }

  signal(signal: Signal): void {
    this.run((core, now) => core.signal(now, signal));
  }

  /** Wants something of a view or a list. */
  ask(number: number, wish: Wish): void {
    this.run((core, now) => core.ask(now, number, wish));
  }

  open(view: number, thread: string, branch: string | undefined, anchor: Anchor): boolean {
    const [name, at] = anchorOf(anchor);
    return this.run((core, now) => core.open(now, view, thread, branch, name, at));
  }

  jump(view: number, anchor: Anchor): boolean {
    const [name, at] = anchorOf(anchor);
    return this.run((core, now) => core.jump(now, view, name, at));
  }

  close(): void {
    this.signal(Signal.Stop);
    clearTimeout(this.#timer);
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
        more = outputs.length > 1;
      }
    } finally {
      this.#draining = false;
    }
  }

  #do(output: Output): void {
    switch (output[0]) {
      case OUT.connect:
        this.#connect();
        break;
      case OUT.disconnect:
        this.#disconnect();
        break;
      case OUT.send:
        if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(output[1]);
        break;
      case OUT.fetchWindow:
        void this.#fetchWindow(output[1], output[2]);
        break;
      case OUT.fetchList:
        void this.#fetchList(output[1], output[2]);
        break;
      case OUT.view:
        this.#receiver.view(output[1], output[2]);
        break;
      case OUT.list:
        this.#receiver.list(output[1], output[2]);
        break;
      case OUT.status:
        this.#receiver.status(output[1], output[2]);
        break;
      case OUT.wait:
        this.#wait(output[1]);
        break;
    }
  }

  #connect(): void {
    this.#disconnect();
    const socket = new WebSocket(this.#url, SUBPROTOCOL);
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const mine = (act: () => void) => () => {
      if (this.#socket === socket) act();
    };
    socket.onopen = mine(() => this.signal(Signal.Opened));
    socket.onclose = mine(() => {
      this.#socket = undefined;
      this.signal(Signal.Closed);
    });
    socket.onmessage = event => {
      if (this.#socket !== socket || !(event.data instanceof ArrayBuffer)) return;
      const bytes = new Uint8Array(event.data);
      this.run((core, now) => core.received(now, bytes));
    };
  }

  #disconnect(): void {
    const socket = this.#socket;
    this.#socket = undefined;
    socket?.close();
  }

  #wait(until: number | null): void {
    clearTimeout(this.#timer);
    if (until === null) return;
    // Timers may fire a little early; a millisecond more spares a tick that finds nothing due.
    const wait = Math.max(0, until - performance.now()) + 1;
    this.#timer = setTimeout(() => this.signal(Signal.Tick), wait);
  }

  async #fetchWindow(request: number, path: string): Promise<void> {
    const [body, ok] = await this.#read(path, CBOR);
    this.run((core, now) => {
      if (ok) core.page(now, request, body);
      else core.pageFailed(now, request, body);
    });
  }

  async #fetchList(request: number, path: string): Promise<void> {
    const [body, ok] = await this.#read(path, 'application/json');
    const page = ok ? parse<ListPage>(body) : undefined;
    this.run((core, now) => {
      if (!page) return core.listFailed(now, request, NO_BODY);
      for (const thread of page.threads) {
        const flags = (thread.running ? 1 : 0) | (thread.archived ? 2 : 0) | (thread.deleted ? 4 : 0);
        const updated = Date.parse(thread.updatedAt);
        core.entry(thread.id, thread.pos, thread.title, thread.snippet, flags, updated);
      }
      core.listPage(now, request, page.nextPage ?? undefined, page.pos);
    });
  }

  async #read(path: string, accept: string): Promise<[Uint8Array, boolean]> {
    try {
      const response = await this.#api.read(path, accept);
      return [new Uint8Array(await response.arrayBuffer()), response.ok];
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
