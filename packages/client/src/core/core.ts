//! The core in WebAssembly: loading it, and calling it with numbers and texts. What they mean is in
//! `calls.ts`.

import { problemOf } from '../words/problem.js';
import type { WasmSource } from '../words/types.js';
import type * as calls from './calls.js';

export * as Call from './calls.js';
export type CallKind = (typeof calls)[keyof typeof calls];

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
  if (!response.ok) throw await problemOf(response);
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

  /** See `calls.ts`. */
  call(kind: CallKind, now: number, a = 0, texts: (string | Uint8Array)[] = [], b = 0, c = 0): number {
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
