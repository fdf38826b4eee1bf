//! The Markdown parser in WebAssembly: loaded when the first text needs it, called on the page's own thread. It runs
//! on fuel, so no text holds the page up; what it cannot read within that is shown as it was written.

import wasmUrl from '../../wasm/markdown.wasm?url';
import { type MarkNode, readOps } from './ops';
import { withWholeRows } from './table-rows';

/** Longer texts are not parsed: nobody writes a paragraph, list or table of this size. */
export const LONGEST = 64 * 1024;

/**
 * Fuel for a text: some to begin with, and so much a byte. Text of people takes 4 to 25 a byte, the worst shapes that
 * are linear 90; a millisecond burns about 100,000, so the longest text takes 85 ms at most. Letters of several bytes
 * make a text longer and not harder to read: bytes beyond `LONGEST` bring no fuel.
 */
const FUEL_AT_FIRST = 40_000;
const FUEL_A_BYTE = 128;
/** For what is no rendering: making room for a text. */
const FUEL_TO_PREPARE = 1_000_000;
/** After a load that failed the next text tries again, but not at once. */
const RETRY_AFTER = 5_000;

interface Exports {
  readonly memory: WebAssembly.Memory;
  readonly fuel: WebAssembly.Global<'i32'>;
  renderer_make(): number;
  renderer_source(renderer: number, length: number): number;
  renderer_render(renderer: number): number;
  renderer_ops(renderer: number): number;
  renderer_text(renderer: number): number;
  renderer_text_size(renderer: number): number;
}

/** What a text parsed to, if it could be parsed, and how much fuel that took. */
export interface Parsed {
  readonly nodes: readonly MarkNode[] | undefined;
  readonly fuel: number;
}

/** The fuel that a text of so many bytes is given, and may be gone before it is known. */
export function fuelFor(bytes: number): number {
  return FUEL_AT_FIRST + Math.min(bytes, LONGEST) * FUEL_A_BYTE;
}

const ENCODER = new TextEncoder();
/** A mark of byte order is a letter: without it every length of the list would be one off. */
const DECODER = new TextDecoder('utf-8', { ignoreBOM: true });

/** An instance that has not trapped yet. */
class Renderer {
  private readonly exports: Exports;
  private readonly renderer: number;

  constructor(module: WebAssembly.Module) {
    this.exports = new WebAssembly.Instance(module).exports as unknown as Exports;
    this.exports.fuel.value = FUEL_TO_PREPARE;
    this.renderer = this.exports.renderer_make();
  }

  /** Throws when the fuel is gone, and is of no use afterwards. */
  render(source: string): Parsed {
    const { exports, renderer } = this;
    const bytes = ENCODER.encode(source);
    exports.fuel.value = FUEL_TO_PREPARE;
    const room = exports.renderer_source(renderer, bytes.length);
    new Uint8Array(exports.memory.buffer, room, bytes.length).set(bytes);
    const given = fuelFor(bytes.length);
    exports.fuel.value = given;
    const at = exports.renderer_render(renderer);
    const fuel = given - exports.fuel.value;
    exports.fuel.value = FUEL_TO_PREPARE;
    const ops = new Uint32Array(exports.memory.buffer, at, exports.renderer_ops(renderer));
    const size = exports.renderer_text_size(renderer);
    const text = new Uint8Array(exports.memory.buffer, exports.renderer_text(renderer), size);
    return { nodes: readOps(ops, DECODER.decode(text)), fuel };
  }
}

let module: WebAssembly.Module | undefined;
let renderer: Renderer | undefined;
let loading = false;
let failedAt = Number.NEGATIVE_INFINITY;
const listeners = new Set<() => void>();

/** Hears when the parser is there. */
export function subscribeToParser(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Whether texts can be parsed now. */
export const parserIsReady = (): boolean => module !== undefined;

/** Takes a compiled parser. */
export function takeParser(compiled: WebAssembly.Module): void {
  module = compiled;
  for (const listener of listeners) listener();
}

async function compile(): Promise<WebAssembly.Module> {
  const response = await fetch(wasmUrl);
  if (!response.ok) throw new Error(`The parser could not be loaded: ${response.status}`);
  const streams = response.headers.get('content-type')?.startsWith('application/wasm');
  return streams ? WebAssembly.compileStreaming(response) : WebAssembly.compile(await response.arrayBuffer());
}

/** Loads the parser, unless it is there or under way. Without it texts stay as they were written. */
export function requestParser(): void {
  if (module || loading || performance.now() - failedAt < RETRY_AFTER) return;
  loading = true;
  compile()
    .then(takeParser, () => {
      failedAt = performance.now();
    })
    .finally(() => {
      loading = false;
    });
}

/** What to draw for a text; without nodes it is to be shown as it was written. */
export function parseMarkdown(source: string): Parsed {
  if (!module || source.length > LONGEST) return { nodes: undefined, fuel: 0 };
  try {
    renderer ??= new Renderer(module);
    return renderer.render(withWholeRows(source));
  } catch {
    // Out of fuel, or of memory, or a defect of the parser: the instance is lost, the reader still has the text.
    renderer = undefined;
    return { nodes: undefined, fuel: fuelFor(source.length) };
  }
}
