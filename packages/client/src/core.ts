//! The core in WebAssembly: loading it, and calling it with numbers and texts. The numbers are those of
//! `crates/wasm/src/call.rs`.

import type { WasmSource } from './types.js';

/** What happened to the connection, the page or the clock. */
export const Signal = {
  /** Connect; this tab is on its own. */
  start: 0,
  /** Connect; there may be other tabs. */
  join: 1,
  stop: 2,
  /** The network or the reader is back. */
  wake: 3,
  hidden: 4,
  shown: 5,
  /** The connection is open, or a request is about to be made. */
  opened: 6,
  closed: 7,
  tick: 8,
} as const;
export type Signal = (typeof Signal)[keyof typeof Signal];

/** What is wanted of a view, a list or a write. */
export const Wish = {
  older: 0,
  newer: 1,
  follow: 2,
  unfollow: 3,
  /** Nobody looks at the view for now. */
  rest: 4,
  /** Somebody looks at it again. */
  resume: 5,
  release: 6,
  more: 7,
  releaseList: 8,
  retry: 9,
  discard: 10,
} as const;
export type Wish = (typeof Wish)[keyof typeof Wish];

const CALL = {
  signal: 0,
  wish: 1,
  lead: 2,
  heard: 3,
  received: 4,
  token: 5,
  open: 6,
  jump: 7,
  switch: 8,
  openList: 9,
  page: 10,
  pageFailed: 11,
  entry: 12,
  listPage: 13,
  listFailed: 14,
  write: 15,
  written: 16,
  room: 17,
  views: 18,
  bytes: 19,
} as const;

/** What the module exports. */
interface Exports {
  readonly memory: WebAssembly.Memory;
  tab_make(seed: number): number;
  tab_end(tab: number): void;
  tab_input(tab: number, length: number): number;
  tab_call(
    tab: number,
    kind: number,
    now: number,
    a: number,
    b: number,
    c: number,
    first: number,
    second: number,
  ): number;
  tab_poll(tab: number): number;
  tab_size(tab: number): number;
}

const ENCODER = new TextEncoder();

/** Loads the core from wherever it is. */
export async function loadCore(source: WasmSource): Promise<CoreModule> {
  return new CoreModule(await instantiate(source));
}

async function instantiate(source: WasmSource): Promise<WebAssembly.Instance> {
  if (source instanceof WebAssembly.Module) return WebAssembly.instantiate(source);
  if (ArrayBuffer.isView(source) || source instanceof ArrayBuffer) {
    return (await WebAssembly.instantiate(source)).instance;
  }
  const response = source instanceof Response ? source : await fetch(source);
  if (!response.ok) throw new Error(`The core could not be loaded: HTTP ${response.status}`);
  // Streaming takes one media type alone, and not every server knows it.
  const streams = response.headers.get('content-type')?.startsWith('application/wasm');
  const loaded = streams
    ? WebAssembly.instantiateStreaming(response)
    : WebAssembly.instantiate(await response.arrayBuffer());
  return (await loaded).instance;
}

/** The module, which holds any number of tabs. */
export class CoreModule {
  readonly exports: Exports;

  constructor(instance: WebAssembly.Instance) {
    this.exports = instance.exports as unknown as Exports;
  }

  /** Bytes of memory in use by all tabs. */
  get bytes(): number {
    return this.exports.memory.buffer.byteLength;
  }
}

/** The engine of one tab. Times are milliseconds of any clock that never goes back. */
export class Core {
  readonly #exports: Exports;
  readonly #tab: number;

  constructor(module: CoreModule, seed: number) {
    this.#exports = module.exports;
    this.#tab = this.#exports.tab_make(seed);
  }

  /** The tab is over: no other call may follow. */
  end(): void {
    this.#exports.tab_end(this.#tab);
  }

  /** Everything to do now, as CBOR; its last item is the wait. To be read before the next call. */
  poll(): Uint8Array {
    const at = this.#exports.tab_poll(this.#tab);
    return new Uint8Array(this.#exports.memory.buffer, at, this.#exports.tab_size(this.#tab));
  }

  signal(now: number, signal: Signal): void {
    this.#call(CALL.signal, now, [], signal);
  }

  ask(now: number, number: number, wish: Wish): void {
    this.#call(CALL.wish, now, [], number, wish);
  }

  /** This tab holds the lock; the last epoch that the browser remembers. */
  lead(now: number, epoch: number): void {
    this.#call(CALL.lead, now, [], epoch);
  }

  /** Another tab said something. */
  heard(now: number, message: Uint8Array): void {
    this.#call(CALL.heard, now, [message]);
  }

  /** A frame of the server's came. */
  received(now: number, frame: Uint8Array): void {
    this.#call(CALL.received, now, [frame]);
  }

  token(now: number, token: string): void {
    this.#call(CALL.token, now, [token]);
  }

  /** Shows a thread. False if an id is none; so are the next two. */
  open(now: number, view: number, thread: string, branch: string, anchor: string, at: number): boolean {
    return this.#call(CALL.open, now, [thread, branch, anchor], view, at) === 1;
  }

  jump(now: number, view: number, anchor: string, at: number): boolean {
    return this.#call(CALL.jump, now, [anchor], view, at) === 1;
  }

  switch(now: number, view: number, branch: string): boolean {
    return this.#call(CALL.switch, now, [branch], view) === 1;
  }

  openList(now: number, list: number, title: string): void {
    this.#call(CALL.openList, now, [title], list);
  }

  /** The body of the answer to a window fetch. */
  page(now: number, request: number, body: Uint8Array, ok: boolean): void {
    this.#call(ok ? CALL.page : CALL.pageFailed, now, [body], request);
  }

  /** One entry of the list page under way. Flags: 1 running, 2 archived, 4 deleted. */
  entry(id: string, title: string, snippet: string, pos: number, flags: number, updatedAt: number): void {
    this.#call(CALL.entry, 0, [id, title, snippet], pos, flags, updatedAt);
  }

  /** The entries given so far are the answer to a list fetch. */
  listPage(now: number, request: number, next: string, pos: number): void {
    this.#call(CALL.listPage, now, [next], request, pos);
  }

  listFailed(now: number, request: number): void {
    this.#call(CALL.listFailed, now, [], request);
  }

  /** A write to be sent for a thread, that starts a run, or stops it. `tried`: it may have reached the server. */
  write(now: number, number: number, thread: string, run: string, stops: boolean, tried: boolean): void {
    this.#call(CALL.write, now, [thread, run], number, (stops ? 1 : 0) | (tried ? 2 : 0));
  }

  /** The answer to a write: its status (0: none came), its code, and when to try again (negative: not said). */
  written(now: number, number: number, status: number, code: string, retryAfter: number): void {
    this.#call(CALL.written, now, [code], number, status, retryAfter);
  }

  /** Holds at most so many bytes of views. */
  room(bytes: number): void {
    this.#call(CALL.room, 0, [], bytes);
  }

  /** Views held, and their bytes. */
  held(): [number, number] {
    return [this.#call(CALL.views, 0, []), this.#call(CALL.bytes, 0, [])];
  }

  #call(kind: number, now: number, texts: (string | Uint8Array)[], a = 0, b = 0, c = 0): number {
    const { memory, tab_input, tab_call } = this.#exports;
    const all = texts.map(text => (typeof text === 'string' ? ENCODER.encode(text) : text));
    const length = all.reduce((sum, { byteLength }) => sum + byteLength, 0);
    if (length > 0) {
      let at = tab_input(this.#tab, length);
      for (const bytes of all) {
        new Uint8Array(memory.buffer, at).set(bytes);
        at += bytes.byteLength;
      }
    }
    return tab_call(this.#tab, kind, now, a, b, c, all[0]?.byteLength ?? 0, all[1]?.byteLength ?? 0);
  }
}
