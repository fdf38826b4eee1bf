//! What was typed and not sent. One key a place, so that tabs in different threads do not overwrite each other.

import { type Kept, keptStrings } from './kept.js';
import type { Drafts } from './types.js';

export class KeptDrafts implements Drafts {
  readonly #kept: Kept;
  readonly #prefix: string;

  /** `name` keeps the drafts of people who share a browser apart, and those of different servers. */
  constructor(name: string, kept: Kept = keptStrings()) {
    this.#kept = kept;
    // A dot ends the name: one inside it would make this prefix fit somebody else's.
    this.#prefix = `threadmill.draft.${encodeURIComponent(name).replaceAll('.', '%2E')}.`;
  }

  get(place: string): string {
    return this.#kept.get(this.#prefix + place) ?? '';
  }

  set(place: string, text: string): void {
    if (text === '') this.#kept.remove(this.#prefix + place);
    else this.#kept.set(this.#prefix + place, text);
  }

  /** The user signs out: nothing stays. */
  clear(): void {
    for (const key of this.#kept.keys(this.#prefix)) this.#kept.remove(key);
  }
}
