//! A database for tests: as far as the storage uses one, with transactions that fail or say nothing as the test wishes.

import { vi } from 'vitest';

/** How transactions of a table go: well, with an error of this name (of the whole, or of its request), or never. */
export type Going = 'well' | 'never' | { readonly error: string; readonly of?: 'request' };

type Outcome = { result: unknown };

class Transaction {
  oncomplete?: () => void;
  onabort?: () => void;
  onerror?: (event: { target: { error: DOMException } }) => void;
  error: DOMException | null = null;
  #over = false;

  constructor(
    readonly database: FakeDatabase,
    readonly table: string,
    readonly mode: string,
  ) {
    const going = database.going(table, mode);
    if (going === 'never') return;
    queueMicrotask(() => {
      if (this.#over) return;
      this.#over = true;
      if (going === 'well') return this.oncomplete?.();
      const error = new DOMException('as the test wishes', going.error);
      if (going.of === 'request') this.onerror?.({ target: { error } });
      this.error = error;
      this.onabort?.();
    });
  }

  abort(): void {
    if (this.#over) throw new DOMException('over', 'InvalidStateError');
    this.#over = true;
    this.database.aborted.push(this.table);
  }

  objectStore() {
    const rows = this.database.rows(this.table);
    const well = this.database.going(this.table, this.mode) === 'well';
    const sorted = () => [...rows].sort(([a], [b]) => (a < b ? -1 : 1));
    const write = (act: () => void): Outcome => {
      if (well) act();
      return { result: undefined };
    };
    return {
      get: (key: string) => ({ result: rows.get(key) }),
      getAll: () => ({ result: sorted().map(([, value]) => value) }),
      getAllKeys: () => ({ result: sorted().map(([key]) => key) }),
      put: (value: unknown, key: string) => {
        // As the browser does: what cannot be copied is refused at once.
        const copy = structuredClone(value);
        return write(() => rows.set(key, copy));
      },
      delete: (key: string) => write(() => rows.delete(key)),
      clear: () => write(() => rows.clear()),
    };
  }
}

export class FakeDatabase {
  readonly #tables = new Map<string, Map<string, unknown>>();
  readonly #goings = new Map<string, Going>();
  /** Tables of transactions that were given up. */
  readonly aborted: string[] = [];
  opened = 0;

  /** Takes the place of the browser's. */
  install(): void {
    vi.stubGlobal('indexedDB', {
      open: () => {
        this.opened += 1;
        const request: { result: unknown; onsuccess?: () => void } = { result: this };
        queueMicrotask(() => request.onsuccess?.());
        return request;
      },
    });
  }

  rows(table: string): Map<string, unknown> {
    const rows = this.#tables.get(table) ?? new Map<string, unknown>();
    this.#tables.set(table, rows);
    return rows;
  }

  /** How transactions of a table go from now on. */
  let(table: string, going: Going, mode = 'readwrite'): void {
    this.#goings.set(`${table} ${mode}`, going);
  }

  going(table: string, mode: string): Going {
    return this.#goings.get(`${table} ${mode}`) ?? 'well';
  }

  transaction(table: string, mode: string): Transaction {
    return new Transaction(this, table, mode);
  }

  close(): void {}
}
