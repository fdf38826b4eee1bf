//! Strings that outlive the page: `localStorage`, or memory where that is missing, forbidden or full.

export interface LocalStrings {
  /** `degraded`: what is kept goes with the page. */
  readonly state: 'ok' | 'degraded';
  get(key: string): string | undefined;
  set(key: string, value: string): void;
  remove(key: string): void;
  /** The keys that begin with this. */
  keys(prefix: string): string[];
}

/**
 * Nothing is touched until the first call, so that a module may hold one without a page. `onDegraded` hears once that
 * something had to be kept in memory.
 */
export function localStrings(
  mode: 'auto' | 'memory' = 'auto',
  onDegraded: () => void = () => {},
): LocalStrings {
  return new PageStrings(mode, onDegraded);
}

class PageStrings implements LocalStrings {
  /** What the storage did not take. */
  readonly #memory = new Map<string, string>();
  readonly #mode: 'auto' | 'memory';
  readonly #onDegraded: () => void;
  #found: Storage | undefined;
  #refused = false;

  constructor(mode: 'auto' | 'memory', onDegraded: () => void) {
    this.#mode = mode;
    this.#onDegraded = onDegraded;
  }

  get state(): 'ok' | 'degraded' {
    const missing = this.#mode === 'auto' && typeof window === 'object' && this.#storage() === undefined;
    return missing || this.#refused ? 'degraded' : 'ok';
  }

  get(key: string): string | undefined {
    return this.#memory.get(key) ?? this.#try(storage => storage.getItem(key)) ?? undefined;
  }

  set(key: string, value: string): void {
    const stored = this.#try(storage => {
      storage.setItem(key, value);
      return true;
    });
    if (stored) this.#memory.delete(key);
    else this.#memory.set(key, value);
    if (!stored && !this.#refused && this.#mode === 'auto' && typeof window === 'object') {
      this.#refused = true;
      this.#onDegraded();
    }
  }

  remove(key: string): void {
    this.#memory.delete(key);
    this.#try(storage => storage.removeItem(key));
  }

  keys(prefix: string): string[] {
    const stored = this.#try(storage =>
      Array.from({ length: storage.length }, (_, at) => storage.key(at) ?? ''),
    );
    return [...this.#memory.keys(), ...(stored ?? [])].filter(key => key.startsWith(prefix));
  }

  /** What the storage answers; nothing where there is none, or where it refuses: any call of it may throw. */
  #try<T>(act: (storage: Storage) => T): T | undefined {
    try {
      const storage = this.#storage();
      return storage && act(storage);
    } catch {
      return undefined;
    }
  }

  /** Even naming `localStorage` throws where the browser forbids it; Node warns, so pages alone are asked. */
  #storage(): Storage | undefined {
    if (this.#mode === 'memory' || this.#found || typeof window !== 'object') return this.#found;
    try {
      this.#found = window.localStorage ?? undefined;
    } catch {
      // It stays undefined.
    }
    return this.#found;
  }
}
