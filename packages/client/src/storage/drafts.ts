//! What was typed and not sent. One key a place, so that tabs in different threads do not overwrite each other.

import type { Drafts } from '../words/types.js';
import { type Kept, keptStrings } from './kept.js';

/** Storing a longer draft can take longer than a frame: it waits until nothing was typed for so many milliseconds. */
const LARGE = 32 * 1024;
const QUIET = 300;

export class KeptDrafts implements Drafts {
  readonly #kept: Kept;
  readonly #prefix: string;
  /** What is to be stored, by its key. */
  readonly #due = new Map<string, string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `name` keeps the drafts of people who share a browser apart, and those of different servers. */
  constructor(name: string, kept: Kept = keptStrings()) {
    this.#kept = kept;
    // A dot ends the name: one inside it would make this prefix fit somebody else's.
    this.#prefix = `threadmill.draft.${encodeURIComponent(name).replaceAll('.', '%2E')}.`;
  }

  get(place: string): string {
    const key = this.#prefix + place;
    return this.#due.get(key) ?? this.#kept.get(key) ?? '';
  }

  set(place: string, text: string): void {
    this.#due.set(this.#prefix + place, text);
    clearTimeout(this.#timer);
    if (text.length > LARGE) this.#timer = setTimeout(() => this.flush(), QUIET);
    else this.flush();
  }

  /** Stores what is due now: the page may be about to go. */
  flush(): void {
    clearTimeout(this.#timer);
    for (const [key, text] of this.#due) {
      if (text === '') this.#kept.remove(key);
      else this.#kept.set(key, text);
    }
    this.#due.clear();
  }

  /** The user signs out: nothing stays. */
  clear(): void {
    this.#due.clear();
    for (const key of this.#kept.keys(this.#prefix)) this.#kept.remove(key);
  }
}
