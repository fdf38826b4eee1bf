//! The texts that grow, made of one poll's text and the next.

import type { Frames } from '../frames.js';
import { textOf } from '../rows.js';
import { TextStream } from '../stream.js';
import type { Row, StreamHandle } from '../types.js';

export class Streams {
  readonly #frames: Frames;
  readonly #open = new Map<string, TextStream>();
  /** Streams that end when the rows are shown, with their final text. */
  readonly #ending = new Map<string, string>();

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  of(messageId: string, rows: readonly Row[]): StreamHandle {
    const open = this.#open.get(messageId);
    if (open) return open;
    const row = rows.find(row => row.id === messageId);
    return new TextStream(this.#frames, row ? textOf(row) : '', 'ended');
  }

  /** The rows that the next snapshot shows. */
  follow(rows: readonly Row[]): void {
    const written = new Map(rows.filter(row => row.run).map(row => [row.id, textOf(row)]));
    for (const [id, text] of written) this.#grow(id, text);
    for (const [id, stream] of this.#open) {
      if (written.has(id)) continue;
      const row = rows.find(row => row.id === id);
      this.#ending.set(id, row ? textOf(row) : stream.text());
    }
  }

  /** Ends what has to end: the final text and the row's status are shown together. */
  settle(): void {
    for (const [id, text] of this.#ending) {
      const stream = this.#open.get(id);
      if (stream) grow(stream, text);
      stream?.end(text);
      this.#open.delete(id);
    }
    this.#ending.clear();
  }

  #grow(id: string, text: string): void {
    this.#ending.delete(id);
    const stream = this.#open.get(id);
    if (stream) grow(stream, text);
    else this.#open.set(id, new TextStream(this.#frames, text, 'open'));
  }
}

/** What is new of the text, where it continues the old. */
function grow(stream: TextStream, text: string): void {
  const before = stream.text();
  if (text === before) return;
  if (text.startsWith(before)) stream.append(text.slice(before.length));
  else stream.reset(text);
}
