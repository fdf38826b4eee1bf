//! Strings that outlive the page: `localStorage`, or memory where that is missing, forbidden or full.

export interface Kept {
  /** `degraded`: what is kept goes with the page. */
  readonly state: 'ok' | 'degraded';
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  remove(key: string): void;
  /** The keys that begin with this. */
  keys(prefix: string): string[];
}

/** Nothing is touched until the first call, so that a module may hold one without a page. */
export function keptStrings(mode: 'auto' | 'memory' = 'auto'): Kept {
  return new PageStrings(mode);
}

class PageStrings implements Kept {
  /** What the storage did not take. */
  readonly #memory = new Map<string, string>();
  readonly #mode: 'auto' | 'memory';
  #found: Storage | undefined;
  #refused = false;

  constructor(mode: 'auto' | 'memory') {
    this.#mode = mode;
  }

  get state(): 'ok' | 'degraded' {
    const missing = this.#mode === 'auto' && typeof window === 'object' && this.#storage() === undefined;
    return missing || this.#refused ? 'degraded' : 'ok';
  }

  get(key: string): string | undefined {
    return this.#memory.get(key) ?? this.#storage()?.getItem(key) ?? undefined;
  }

  set(key: string, value: string): void {
    try {
      const storage = this.#storage();
      if (storage) {
        storage.setItem(key, value);
        this.#memory.delete(key);
        return;
      }
    } catch {
      // The quota is used up: this page goes on with what it remembers.
      this.#refused = true;
    }
    this.#memory.set(key, value);
  }

  remove(key: string): void {
    this.#memory.delete(key);
    this.#storage()?.removeItem(key);
  }

  keys(prefix: string): string[] {
    const storage = this.#storage();
    const stored = Array.from({ length: storage?.length ?? 0 }, (_, at) => storage?.key(at) ?? '');
    return [...this.#memory.keys(), ...stored].filter(key => key.startsWith(prefix));
  }

  /** Even naming `localStorage` throws where the browser forbids it; Node warns, so pages alone are asked. */
  #storage(): Storage | undefined {
    if (this.#mode === 'memory' || this.#found || typeof window !== 'object') return this.#found;
    try {
      this.#found = window.localStorage;
    } catch {
      // It stays undefined.
    }
    return this.#found;
  }
}
