//! What was typed and not sent. One key a draft, so that tabs in different threads do not overwrite each other.

import type { Drafts } from '../words/types.js';
import { type LocalStrings, localStrings } from './local-strings.js';

/** Storing a longer draft can take longer than a frame: it waits until nothing was typed for so many milliseconds. */
const LARGE = 32 * 1024;
const QUIET = 300;

export class StoredDrafts implements Drafts {
  readonly #strings: LocalStrings;
  readonly #prefix: string;
  /** What is to be stored, by its key. */
  readonly #due = new Map<string, string>();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** `name` is of a user at a server: it keeps the drafts of people who share a browser apart. */
  constructor(name: string, strings: LocalStrings = localStrings()) {
    this.#strings = strings;
    // A dot ends the name: one inside it would make this prefix fit somebody else's.
    this.#prefix = `threadmill.draft.${encodeURIComponent(name).replaceAll('.', '%2E')}.`;
  }

  get(draft: string): string {
    const key = this.#prefix + draft;
    return this.#due.get(key) ?? this.#strings.get(key) ?? '';
  }

  set(draft: string, text: string): void {
    this.#due.set(this.#prefix + draft, text);
    clearTimeout(this.#timer);
    if (text.length > LARGE) this.#timer = setTimeout(() => this.flush(), QUIET);
    else this.flush();
  }

  /** Stores what is due now: the page may be about to go. */
  flush(): void {
    clearTimeout(this.#timer);
    for (const [key, text] of this.#due) {
      if (text === '') this.#strings.remove(key);
      else this.#strings.set(key, text);
    }
    this.#due.clear();
  }

  /** The user signs out: nothing stays. */
  clear(): void {
    this.#due.clear();
    for (const key of this.#strings.keys(this.#prefix)) this.#strings.remove(key);
  }
}
