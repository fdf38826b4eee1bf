//! The core in WebAssembly: loading it, and calling it with numbers and texts. The numbers are those of
//! `crates/wasm/src/call.rs`.

import type { WasmSource } from './types.js';

/** What the core is told and asked. What comes with a call is a number, texts, and up to two numbers more. */
export const Call = {
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
  /** The view's next page of either side. */
  older: 9,
  newer: 10,
  /** The view's reader is at the live edge, or elsewhere. */
  follow: 11,
  unfollow: 12,
  /** Nobody looks at the view for now; somebody does again; it is over. */
  rest: 13,
  resume: 14,
  release: 15,
  /** The list's next page; it is over. */
  more: 16,
  releaseList: 17,
  /** The write is tried again, or given up. */
  retry: 18,
  discard: 19,
  /** This tab holds the lock: the last epoch that the browser remembers. */
  lead: 20,
  /** What another tab said. */
  heard: 21,
  /** A frame of the server's. */
  received: 22,
  token: 23,
  /** View; thread, branch or nothing, anchor; the anchor's number. False if an id is none; so are the next two. */
  open: 24,
  /** View; anchor; its number. */
  jump: 25,
  /** View; branch. */
  switch: 26,
  /** List; part of the title or nothing. */
  openList: 27,
  /** Request; the body of the answer to a window fetch, or of the refusal. */
  page: 28,
  pageFailed: 29,
  /** Place; id, title, snippet; flags (1 running, 2 archived, 4 deleted), time: an entry of the page under way. */
  entry: 30,
  /** Request; where the next page begins or nothing; place: the entries so far are the answer to a list fetch. */
  listPage: 31,
  listFailed: 32,
  /** Write; thread, run; flags: 1 it stops the run, else starts it; 2 it may have reached the server. */
  write: 33,
  /** Write; code; status (0: no answer came), when to try again (negative: not said). */
  written: 34,
  /** Bytes of views to be held at most. */
  room: 35,
  /** Views held, and their bytes: the answers. */
  views: 36,
  bytes: 37,
} as const;
export type Call = (typeof Call)[keyof typeof Call];

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

  /** See `Call`. */
  call(kind: Call, now: number, a = 0, texts: (string | Uint8Array)[] = [], b = 0, c = 0): number {
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
