//! A browser for tests of a whole client: its locks, channels, sockets and strings, each as far as it is used.

import { readFileSync } from 'node:fs';
import { vi } from 'vitest';

/** The core as it is built. */
export const wasm = readFileSync(new URL('../wasm/threadmill.wasm', import.meta.url));

type Held = (lock: { name: string } | null) => unknown;
interface Waiting {
  name: string;
  held: Held;
  settle: (answer: unknown) => void;
  fail: (reason: unknown) => void;
}

/** Exclusive locks: `held` are the names held now, `waiting` who waits, in order. */
export class FakeLocks {
  readonly held = new Set<string>();
  /** What ends the term of who holds a lock. */
  readonly #terms = new Map<string, (reason: unknown) => void>();
  waiting: Waiting[] = [];
  /** Every request fails, as in a frame that may not have locks. */
  refuses = false;

  request(
    name: string,
    options: { signal?: AbortSignal; ifAvailable?: boolean; steal?: boolean },
    held: Held,
  ) {
    if (this.refuses) return Promise.reject(new DOMException('no locks here', 'SecurityError'));
    return new Promise((settle, reject) => {
      const one = { name, held, settle, fail: reject };
      if (options.steal) this.#rob(name);
      if (options.ifAvailable && this.held.has(name)) settle(held(null));
      else if (options.steal) this.waiting.unshift(one);
      else this.waiting.push(one);
      options.signal?.addEventListener('abort', () => {
        if (!this.waiting.includes(one)) return;
        this.waiting = this.waiting.filter(other => other !== one);
        reject(options.signal?.reason);
      });
      queueMicrotask(() => this.#grant());
    });
  }

  /** Who waits for the lead of a browser's tabs, or has it. */
  leads(kind: 'held' | 'waiting'): number {
    const names = kind === 'held' ? [...this.held] : this.waiting.map(({ name }) => name);
    return names.filter(name => !name.endsWith('?')).length;
  }

  #rob(name: string): void {
    this.#terms.get(name)?.(new DOMException('stolen', 'AbortError'));
    this.#terms.delete(name);
    this.held.delete(name);
  }

  #grant(): void {
    for (const one of [...this.waiting]) {
      if (this.held.has(one.name)) continue;
      this.waiting = this.waiting.filter(other => other !== one);
      this.held.add(one.name);
      this.#terms.set(one.name, one.fail);
      void Promise.resolve(one.held({ name: one.name })).then(answer => {
        // Whoever was robbed gives nothing back.
        if (this.#terms.get(one.name) !== one.fail) return;
        this.#terms.delete(one.name);
        this.held.delete(one.name);
        one.settle(answer);
        this.#grant();
      });
    }
  }
}

/** What a page keeps as strings. */
export class FakeStrings {
  readonly map = new Map<string, string>();
  get length(): number {
    return this.map.size;
  }
  key(index: number): string | null {
    return [...this.map.keys()][index] ?? null;
  }
  getItem(key: string): string | null {
    return this.map.get(key) ?? null;
  }
  setItem(key: string, value: string): void {
    this.map.set(key, value);
  }
  removeItem(key: string): void {
    this.map.delete(key);
  }
}

/** A tab's end of a channel. */
interface Channel {
  onmessage: ((event: { data: unknown }) => void) | null;
}

/** A channel that brings what is said a microtask later, and all that are open. */
function fakeChannels() {
  const all = new Set<FakeChannel>();
  class FakeChannel {
    onmessage: ((event: { data: unknown }) => void) | null = null;
    constructor(readonly name: string) {
      all.add(this);
    }
    postMessage(data: unknown): void {
      const copy = structuredClone(data);
      queueMicrotask(() => {
        for (const other of all)
          if (other !== this && other.name === this.name) other.onmessage?.({ data: copy });
      });
    }
    close(): void {
      all.delete(this);
    }
  }
  return { FakeChannel, all: all as ReadonlySet<Channel> };
}

/** Takes the place of the browser that all clients of a test run in. */
export function surround() {
  const locks = new FakeLocks();
  const strings = new FakeStrings();
  const events = new EventTarget();
  const document = Object.assign(new EventTarget(), { visibilityState: 'visible' });
  vi.stubGlobal('navigator', { locks, onLine: true });
  const { FakeChannel, all: channels } = fakeChannels();
  vi.stubGlobal('BroadcastChannel', FakeChannel);
  vi.stubGlobal('window', { localStorage: strings });
  vi.stubGlobal('document', document);
  vi.stubGlobal('addEventListener', events.addEventListener.bind(events));
  const show = (state: 'visible' | 'hidden') => {
    document.visibilityState = state;
    document.dispatchEvent(new Event('visibilitychange'));
  };
  return { locks, channels, strings, events, show };
}

/** Lets what is under way happen. */
export async function settle(turns = 20): Promise<void> {
  for (let turn = 0; turn < turns; turn++) await new Promise(resolve => setImmediate(resolve));
}

/** A token that says this. */
export function token(claims: object): string {
  return `x.${btoa(JSON.stringify(claims))}.x`;
}
