//! A text while it grows: the fast lane past the snapshots.

import type { Frames } from '../page/frames.js';
import type { StreamHandle, StreamSink } from '../words/types.js';

export class TextStream implements StreamHandle {
  readonly #frames: Frames;
  readonly #sinks = new Set<StreamSink>();
  #text: string;
  /** What the sinks lack at the end of their text. */
  #pending = '';
  /** The sinks' text is no beginning of this one. */
  #rewritten = false;
  #ended: boolean;
  /** Makes the text anew when it is next read: it is another by now. */
  #remake: (() => string) | undefined;

  constructor(frames: Frames, text: string, state: 'open' | 'ended') {
    this.#frames = frames;
    this.#text = text;
    this.#ended = state === 'ended';
  }

  /** Somebody is attached. */
  get used(): boolean {
    return this.#sinks.size > 0;
  }

  text(): string {
    this.#catchUp();
    return this.#text;
  }

  attach(sink: StreamSink): () => void {
    // The others have less: they are brought up to date first, so that one text is shown to all.
    this.#catchUp();
    this.publish();
    // Kept when the text has ended too: a run may take the message up again.
    this.#sinks.add(sink);
    sink.reset(this.#text);
    if (this.#ended) sink.end();
    return () => {
      this.#sinks.delete(sink);
    };
  }

  append(delta: string): void {
    // What makes the text has it already.
    if (delta === '' || this.#remake) return;
    this.#text += delta;
    this.#pending += delta;
    this.#frames.markStream(this);
  }

  /** The text is now this, whether it goes on from the one before or not. */
  become(text: string): void {
    this.#remake = undefined;
    if (text.startsWith(this.#text)) {
      this.append(text.slice(this.#text.length));
      return;
    }
    this.#text = text;
    this.#rewritten = true;
    this.#frames.markStream(this);
  }

  /**
   * The text is another now, and costs as much as it is long to make: that is done once a frame, and not at all while
   * nobody reads it. `make` is called later, and has what is appended until then.
   */
  stale(make: () => string): void {
    this.#remake = make;
    if (this.used) this.#frames.markStream(this);
  }

  /** A run writes it, from this text on. */
  open(text: string): void {
    this.#ended = false;
    this.become(text);
  }

  /** The text is final. The caller shows the row's status in the same publish. */
  end(text: string): void {
    if (this.#ended && text === this.text()) return;
    this.become(text);
    this.publish();
    this.#ended = true;
    for (const sink of [...this.#sinks]) sink.end();
  }

  publish(): void {
    if (this.used) this.#catchUp();
    const [delta, rewritten] = [this.#pending, this.#rewritten];
    this.#pending = '';
    this.#rewritten = false;
    if (!rewritten && delta === '') return;
    for (const sink of [...this.#sinks]) {
      if (rewritten) sink.reset(this.#text);
      else sink.append(delta);
    }
  }
  #catchUp(): void {
    if (this.#remake) this.become(this.#remake());
  }
}
