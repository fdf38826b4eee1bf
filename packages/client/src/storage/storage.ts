//! What this browser keeps for a user: IndexedDB, and memory where that is forbidden or fails.
//!
//! Each table fails alone: a full cache of windows does not stop the outbox. How a request fails says what follows:
//!
//! | it fails since | what follows |
//! |---|---|
//! | the value cannot be stored | that value is kept in memory |
//! | there is no room | the outbox clears the caches and tries again; if that does not help, that value is kept in memory |
//! | the connection is gone (WebKit's IndexedDB can lose it at any time) | a new one is tried once; then the table is memory |
//! | nothing is answered: another page blocks it, or the browser has stopped answering | the table is memory |
//!
//! Room `storage`: what this browser keeps, and how what was kept is parsed. It asks no server, knows no other tab and
//! decides nothing of what is sent or shown.

const VERSION = 1;
/** Milliseconds the database may take to open, a transaction to end, and a deletion: each may wait for ever. */
const PATIENCE = 3_000;
/** Each is a table of values by key. */
const TABLES = ['outbox', 'windows', 'lists'] as const;
/** Those that hold what the server has too. */
const CACHES = ['windows', 'lists'] as const;

export type Table = (typeof TABLES)[number];

/** Keeps values by key. No call fails: what cannot be stored is kept in memory, and `onDegraded` hears of which table. */
export class Storage {
  readonly #name: string;
  readonly #onDegraded: (table: Table) => void;
  readonly #memory = new Map<Table, Map<string, unknown>>(TABLES.map(table => [table, new Map()]));
  /** Tables that are memory from now on. */
  readonly #off: Set<Table>;
  readonly #degraded = new Set<Table>();
  #database: Promise<IDBDatabase> | undefined;
  /** Nothing is read or written any more. */
  #closed = false;

  constructor(name: string, kind: 'auto' | 'memory', onDegraded: (table: Table) => void) {
    this.#name = `threadmill:${name}`;
    this.#onDegraded = onDegraded;
    this.#off = new Set(kind === 'memory' ? TABLES : []);
  }

  /** Whether something of the table goes with the page. */
  isDegraded(table: Table): boolean {
    return this.#off.has(table) || this.#degraded.has(table);
  }

  async get(table: Table, key: string): Promise<unknown> {
    const stored = await this.#do(table, 'readonly', store => store.get(key));
    return stored ?? this.#memory.get(table)?.get(key);
  }

  /** All values of a table, in order of their keys. */
  async all(table: Table): Promise<unknown[]> {
    return (await this.entries(table)).map(([, value]) => value);
  }

  /** All values of a table with their keys, in order of these. What is in memory is newer than what is stored. */
  async entries(table: Table): Promise<[string, unknown][]> {
    const stored = (await this.#do(table, 'readonly', readAll)) as Map<string, unknown> | undefined;
    return [...new Map([...(stored ?? []), ...(this.#memory.get(table) ?? [])])];
  }

  /** Resolves when the value is on the disk, or cannot be. */
  async put(table: Table, key: string, value: unknown): Promise<void> {
    const memory = this.#memory.get(table);
    const done = await this.#do(table, 'readwrite', store => store.put(value, key));
    if (done === undefined) memory?.set(key, value);
    else memory?.delete(key);
  }

  async delete(table: Table, key: string): Promise<void> {
    await this.#do(table, 'readwrite', store => store.delete(key));
    // Last, like a put: what is being put before it shall not stay.
    this.#memory.get(table)?.delete(key);
  }

  /** Nothing stays on the disk, even of what was written before it failed. Rejects if that cannot be made sure. */
  async destroy(): Promise<void> {
    this.close();
    let request: IDBOpenDBRequest;
    try {
      request = indexedDB.deleteDatabase(this.#name);
    } catch {
      // Where there are no databases, or none may be had, nothing was kept.
      return;
    }
    await ask(request);
  }

  close(): void {
    this.#closed = true;
    this.#database?.then(
      database => database.close(),
      () => {},
    );
    this.#database = undefined;
  }

  /** One request in a transaction of its own. `undefined`: it could not be done. */
  async #do(table: Table, mode: IDBTransactionMode, act: Act): Promise<unknown> {
    for (let tries = 1; !this.#off.has(table) && !this.#closed; tries++) {
      try {
        this.#database ??= ask(indexedDB.open(this.#name, VERSION));
        return await run(await this.#database, table, mode, act);
      } catch (error) {
        switch (nameOf(error)) {
          case 'DataCloneError':
          case 'DataError':
            return undefined;
          case 'QuotaExceededError':
            if (tries === 1 && table === 'outbox' && (await this.#makeRoom())) continue;
            this.#degrade(table);
            return undefined;
          case SILENT:
            this.#turnOff(table);
            return undefined;
          default:
            this.#database = undefined;
            if (tries === 2) this.#turnOff(table);
        }
      }
    }
    return undefined;
  }

  /** Gives up what the server has too. */
  async #makeRoom(): Promise<boolean> {
    const cleared = CACHES.map(table => this.#do(table, 'readwrite', store => store.clear()));
    return (await Promise.all(cleared)).some(done => done !== undefined);
  }

  #turnOff(table: Table): void {
    if (this.#closed) return;
    this.#off.add(table);
    this.#degrade(table);
  }

  #degrade(table: Table): void {
    if (this.#closed || this.#degraded.has(table)) return;
    this.#degraded.add(table);
    this.#onDegraded(table);
  }
}

type Act = (store: IDBObjectStore) => { readonly result: unknown };

/** The name of the error of a request that is not answered. */
const SILENT = 'TimeoutError';

function silent(): DOMException {
  return new DOMException('Another page holds it, or the browser does not answer.', SILENT);
}

function nameOf(error: unknown): string {
  return typeof error === 'object' && error !== null && 'name' in error ? String(error.name) : '';
}

/** Asks for the database, or that there be none. */
function ask(request: IDBOpenDBRequest): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    let late = false;
    const timer = setTimeout(() => {
      late = true;
      reject(silent());
    }, PATIENCE);
    const settle = (act: () => void) => () => {
      clearTimeout(timer);
      act();
    };
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    request.onsuccess = settle(() => {
      // A newer release in another tab, and one that deletes all, must not wait for this one.
      if (request.result) request.result.onversionchange = () => request.result.close();
      // Nobody waits for it any more.
      if (late) request.result?.close();
      resolve(request.result);
    });
    request.onerror = settle(() => reject(request.error));
  });
}

function run(database: IDBDatabase, table: Table, mode: IDBTransactionMode, act: Act): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, mode, { durability: 'strict' });
    const timer = setTimeout(() => {
      reject(silent());
      // It shall not take effect after it was given up.
      abort(transaction);
    }, PATIENCE);
    const settle = (act: () => void) => () => {
      clearTimeout(timer);
      act();
    };
    transaction.onabort = settle(() => reject(transaction.error));
    // A request that fails says so before the transaction has an error of its own.
    transaction.onerror = ({ target }) =>
      settle(() => reject((target as IDBRequest | null)?.error ?? transaction.error))();
    try {
      const request = act(transaction.objectStore(table));
      transaction.oncomplete = settle(() => resolve(request.result ?? null));
    } catch (error) {
      settle(() => reject(error))();
    }
  });
}

function abort(transaction: IDBTransaction): void {
  try {
    transaction.abort();
  } catch {
    // It is over, or so broken that it cannot be given up.
  }
}

/** All values by their keys, once the transaction is complete. */
function readAll(store: IDBObjectStore): { readonly result: Map<string, unknown> } {
  const [keys, values] = [store.getAllKeys(), store.getAll()];
  return {
    get result() {
      return new Map(keys.result.map((key, at) => [String(key), values.result[at]]));
    },
  };
}
