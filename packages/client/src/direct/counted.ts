//! What is shown under a key, and by how many.

/** A view outlives its last release by this: React's strict mode and a quick change of route take it up. */
const GRACE = 1_000;

interface Shown<T> {
  readonly view: T;
  users: number;
  timer?: ReturnType<typeof setTimeout>;
}

export class Counted<T extends { dispose(): void }> {
  readonly #shown = new Map<string, Shown<T>>();

  get size(): number {
    return this.#shown.size;
  }

  /** The views held, those in their grace too. */
  *views(): Iterable<T> {
    for (const { view } of this.#shown.values()) yield view;
  }

  /** The view under this key, made if there is none. `make` is given what the view calls when it is released. */
  take(key: string, make: (released: () => void) => T): T {
    const known = this.#shown.get(key);
    if (known) {
      known.users += 1;
      clearTimeout(known.timer);
      return known.view;
    }
    const shown: Shown<T> = { view: make(() => this.#release(key, shown)), users: 1 };
    this.#shown.set(key, shown);
    return shown.view;
  }

  close(): void {
    for (const { view, timer } of this.#shown.values()) {
      clearTimeout(timer);
      view.dispose();
    }
    this.#shown.clear();
  }

  #release(key: string, shown: Shown<T>): void {
    if (shown.users === 0 || --shown.users > 0) return;
    shown.timer = setTimeout(() => {
      this.#shown.delete(key);
      shown.view.dispose();
    }, GRACE);
  }
}
