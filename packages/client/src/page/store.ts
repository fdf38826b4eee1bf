//! A store for `useSyncExternalStore`: what is not published cannot be seen.

import type { Store } from '../words/types.js';
import type { Frames } from './frames.js';

export abstract class FrameStore<T> implements Store<T> {
  readonly #frames: Frames;
  readonly #listeners = new Set<() => void>();
  #snapshot: T;
  #dirty = false;

  constructor(frames: Frames, first: T) {
    this.#frames = frames;
    this.#snapshot = first;
  }

  /** Stable, so that a component may pass it to React as it is. */
  readonly subscribe = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => {
      this.#listeners.delete(listener);
    };
  };

  readonly getSnapshot = (): T => this.#snapshot;

  /** Somebody is told of changes. */
  protected get watched(): boolean {
    return this.#listeners.size > 0;
  }

  publish(): void {
    this.beforePublish();
    if (this.#dirty) {
      this.#dirty = false;
      this.#snapshot = this.take();
      for (const listener of [...this.#listeners]) listener();
    }
    this.afterPublish();
  }

  /** The state to show. */
  protected abstract take(): T;

  /** What is shown together with the snapshot, before it. */
  protected beforePublish(): void {}

  /** What waits for the snapshot to be shown. */
  protected afterPublish(): void {}

  /** The snapshot has to change. */
  protected touch(): void {
    this.#dirty = true;
    this.#frames.mark(this);
  }

  /** Publish without a new snapshot. */
  protected nudge(): void {
    this.#frames.mark(this);
  }
}
