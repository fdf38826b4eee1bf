//! What this browser keeps for a user: IndexedDB, and memory where that is forbidden or fails. WebKit's IndexedDB
//! can lose its connection at any time: one new one is tried, then the page goes on without.

const VERSION = 1;
/** Milliseconds the database may take to open, and to be deleted: both may wait for another page for ever. */
const PATIENCE = 3_000;
/** Each is a table of values by key. */
const TABLES = ['outbox', 'windows', 'lists'] as const;

export type Table = (typeof TABLES)[number];

/** Keeps values by key. No call fails: what cannot be stored is kept in memory, and `degraded` says so. */
export class Storage {
  readonly #name: string;
  readonly #onDegraded: () => void;
  readonly #memory = new Map<Table, Map<string, unknown>>(TABLES.map(table => [table, new Map()]));
  #database: Promise<IDBDatabase> | undefined;
  #degraded = false;
  /** Nothing is read or written any more. */
  #closed = false;

  constructor(name: string, kind: 'auto' | 'memory', onDegraded: () => void) {
    this.#name = `threadmill:${name}`;
    this.#onDegraded = onDegraded;
    if (kind === 'memory') this.#degraded = true;
  }

  get degraded(): boolean {
    return this.#degraded;
  }

  async get<T>(table: Table, key: string): Promise<T | undefined> {
    const stored = await this.#do(table, 'readonly', store => store.get(key));
    return (stored ?? this.#memory.get(table)?.get(key)) as T | undefined;
  }

  /** All values of a table, in order of their keys. */
  async all<T>(table: Table): Promise<T[]> {
    const stored = (await this.#do(table, 'readonly', store => store.getAll())) as T[] | undefined;
    return [...(stored ?? []), ...((this.#memory.get(table)?.values() ?? []) as Iterable<T>)];
  }

  /** Resolves when the value is on the disk, or cannot be. */
  async put(table: Table, key: string, value: unknown): Promise<void> {
    const done = await this.#do(table, 'readwrite', store => store.put(value, key));
    if (done === undefined) this.#memory.get(table)?.set(key, value);
  }

  async delete(table: Table, key: string): Promise<void> {
    await this.#do(table, 'readwrite', store => store.delete(key));
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
  async #do(
    table: Table,
    mode: IDBTransactionMode,
    act: (store: IDBObjectStore) => IDBRequest,
  ): Promise<unknown> {
    for (let tries = 0; tries < 2 && !this.#degraded && !this.#closed; tries++) {
      try {
        this.#database ??= ask(indexedDB.open(this.#name, VERSION));
        return await run(await this.#database, table, mode, act);
      } catch {
        this.#database = undefined;
      }
    }
    if (!this.#degraded && !this.#closed) {
      this.#degraded = true;
      this.#onDegraded();
    }
    return undefined;
  }
}

/** Asks for the database, or that there be none. */
function ask(request: IDBOpenDBRequest): Promise<IDBDatabase> {
  return new Promise((resolve, reject) => {
    request.onupgradeneeded = () => {
      for (const table of TABLES) request.result.createObjectStore(table);
    };
    request.onsuccess = () => {
      // A newer release in another tab, and one that deletes all, must not wait for this one.
      if (request.result) request.result.onversionchange = () => request.result.close();
      resolve(request.result);
    };
    request.onerror = () => reject(request.error);
    setTimeout(reject, PATIENCE, new Error('Another page holds it.'));
  });
}

function run(
  database: IDBDatabase,
  table: Table,
  mode: IDBTransactionMode,
  act: (store: IDBObjectStore) => IDBRequest,
): Promise<unknown> {
  return new Promise((resolve, reject) => {
    const transaction = database.transaction(table, mode, { durability: 'strict' });
    const request = act(transaction.objectStore(table));
    transaction.oncomplete = () => resolve(request.result ?? null);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}
