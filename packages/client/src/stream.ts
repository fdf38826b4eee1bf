//! The text of one message while it grows: the fast lane past the list's snapshot.

import type { Frames } from './frames.js';
import type { StreamHandle, StreamSink } from './types.js';

export class TextStream implements StreamHandle {
  readonly #frames: Frames;
  readonly #sinks = new Set<StreamSink>();
  #text: string;
  /** What the sinks lack at the end of their text. */
  #pending = '';
  /** The sinks' text is no beginning of this one. */
  #rewritten = false;
  #ended: boolean;

  constructor(frames: Frames, text: string, state: 'open' | 'ended') {
    this.#frames = frames;
    this.#text = text;
    this.#ended = state === 'ended';
  }

  get ended(): boolean {
    return this.#ended;
  }

  text(): string {
    return this.#text;
  }

  attach(sink: StreamSink): () => void {
    // The others have less: they are brought up to date first, so that one text is shown to all.
    this.publish();
    sink.reset(this.#text);
    if (this.#ended) sink.end();
    else this.#sinks.add(sink);
    return () => {
      this.#sinks.delete(sink);
    };
  }

  append(delta: string): void {
    this.#text += delta;
    this.#pending += delta;
    this.#frames.markStream(this);
  }

  reset(text: string): void {
    this.#text = text;
    this.#rewritten = true;
    this.#frames.markStream(this);
  }

  /** The text is final. The caller shows the row's status in the same publish. */
  end(text: string): void {
    if (text !== this.#text) this.reset(text);
    this.publish();
    this.#ended = true;
    for (const sink of this.#sinks) sink.end();
    this.#sinks.clear();
  }

  publish(): void {
    const [delta, rewritten] = [this.#pending, this.#rewritten];
    this.#pending = '';
    this.#rewritten = false;
    if (!rewritten && delta === '') return;
    for (const sink of this.#sinks) {
      if (rewritten) sink.reset(this.#text);
      else sink.append(delta);
    }
  }
}
