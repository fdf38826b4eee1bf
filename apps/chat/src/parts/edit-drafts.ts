//! What was typed into the editors of messages and not sent. It is kept where the composer's drafts are, by message, and
//! so outlives the row, which leaves the page when it is scrolled away, the thread and the page.
//!
//! The newest edits are kept: so many, and so many letters in all. What is stored is checked when it is read: it may be of
//! another release, or of anybody.

import type { Drafts } from '@threadmill/client';

/** Edits that are kept, and letters of all of them; the one that is being typed is kept whatever its length. */
const EDITS = 20;
const LETTERS = 1_000_000;
/** Letters are counted in steps: the list of edits need not be stored with each key. */
const STEP = 4_096;
/** Where the list of edits is: the thread, the message and the letters of each, the newest last. */
const LIST = 'edits';
const placeOf = (messageId: string) => `edit.${messageId}`;

/** The texts of an editor, by the index of their part, and the revision of the message that they were made of. */
export interface EditDraft {
  readonly rev: number;
  readonly texts: readonly { readonly part: number; readonly text: string }[];
}

type Entry = readonly [thread: string, message: string, letters: number];

function isEntry(value: unknown): value is Entry {
  if (!Array.isArray(value)) return false;
  const [thread, message, letters] = value as unknown[];
  return typeof thread === 'string' && typeof message === 'string' && Number.isSafeInteger(letters);
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function draftIn(text: string): EditDraft | undefined {
  const stored = parsed(text);
  if (!Array.isArray(stored)) return undefined;
  const [rev, ...rest] = stored as unknown[];
  const texts = rest.flatMap(one => {
    const [part, text] = Array.isArray(one) ? (one as unknown[]) : [];
    return typeof part === 'number' && Number.isSafeInteger(part) && typeof text === 'string'
      ? [{ part, text }]
      : [];
  });
  return typeof rev === 'number' && texts.length > 0 ? { rev, texts } : undefined;
}

/** The edits of one thread, among all that are kept. */
export class EditDrafts {
  constructor(
    private readonly drafts: Drafts,
    private readonly threadId: string,
  ) {}

  /** The messages of this thread that were edited, the last one last. */
  all(): readonly string[] {
    return this.list()
      .filter(([thread]) => thread === this.threadId)
      .map(([, message]) => message);
  }

  /** The message of this thread that was edited last. */
  newest(): string | undefined {
    return this.all().at(-1);
  }

  get(messageId: string): EditDraft | undefined {
    return draftIn(this.drafts.get(placeOf(messageId)));
  }

  set(messageId: string, { rev, texts }: EditDraft): void {
    const stored = JSON.stringify([rev, ...texts.map(({ part, text }) => [part, text])]);
    this.drafts.set(placeOf(messageId), stored);
    const letters = Math.ceil(stored.length / STEP) * STEP;
    const last = this.list().at(-1);
    if (last?.[1] === messageId && last[2] === letters) return;
    this.store([...this.others(messageId), [this.threadId, messageId, letters]]);
  }

  forget(messageId: string): void {
    this.drafts.set(placeOf(messageId), '');
    this.store(this.others(messageId));
  }

  private list(): readonly Entry[] {
    const stored = parsed(this.drafts.get(LIST));
    return Array.isArray(stored) ? stored.filter(isEntry) : [];
  }

  private others(messageId: string): Entry[] {
    return this.list().filter(([, message]) => message !== messageId);
  }

  /** Stores the list, and gives up the oldest of it if it is too much. */
  private store(entries: readonly Entry[]): void {
    let letters = 0;
    const kept: Entry[] = [];
    for (const entry of [...entries].reverse()) {
      letters += entry[2];
      if (kept.length === 0 || (kept.length < EDITS && letters <= LETTERS)) kept.unshift(entry);
      else this.drafts.set(placeOf(entry[1]), '');
    }
    this.drafts.set(LIST, kept.length === 0 ? '' : JSON.stringify(kept));
  }
}
