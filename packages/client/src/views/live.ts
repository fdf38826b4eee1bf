//! What runs write, part by part and in order, past the snapshots of rows.

import type { Frames } from '../page/frames.js';
import { FrameStore } from '../page/store.js';
import { proseOf } from '../words/rows.js';
import type { LiveHandle, PreviewPart, Row, StreamHandle } from '../words/types.js';
import { TextStream } from './stream.js';

/** Milliseconds between two snapshots that show no more than how the input of a tool grows. */
const INPUT_WAIT = 1_000;

/**
 * One message. Its snapshot changes when a part comes or changes otherwise than by text at its end; the text of each
 * part is a stream of its own, and that of all of them together another.
 */
export class LiveMessage extends FrameStore<readonly PreviewPart[]> {
  /** The text of the text parts, joined. */
  readonly all: TextStream;
  readonly #frames: Frames;
  /** As they came; the texts have grown since. */
  #parts: PreviewPart[];
  readonly #texts = new Map<number, TextStream>();
  #state: 'open' | 'ended';
  #inputTimer: ReturnType<typeof setTimeout> | undefined;
  /** What it ended with. */
  #final: readonly PreviewPart[] | undefined;

  constructor(frames: Frames, parts: readonly PreviewPart[], state: 'open' | 'ended') {
    super(frames, parts);
    this.#frames = frames;
    this.#parts = [...parts];
    this.#state = state;
    this.all = new TextStream(frames, joined(parts), state);
  }

  /** Somebody reads it. */
  get used(): boolean {
    return this.watched || this.all.used || [...this.#texts.values()].some(text => text.used);
  }

  /** The parts with the text they have now. */
  parts(): readonly PreviewPart[] {
    return this.#parts.map((part, at) => {
      const text = this.#texts.get(at)?.text();
      return text === undefined || proseOf(part) === undefined ? part : { ...part, text };
    });
  }

  /** The text of a part. */
  text(at: number): TextStream {
    const known = this.#texts.get(at);
    if (known) return known;
    const part = this.#parts[at];
    const text = new TextStream(this.#frames, (part && proseOf(part)) ?? '', this.#state);
    this.#texts.set(at, text);
    return text;
  }

  /** Text came to the end of a part. */
  append(at: number, delta: string): void {
    const part = this.#parts[at];
    if (!part) return;
    this.text(at).append(delta);
    if (part.type !== 'text') return;
    if (at === this.#parts.findLastIndex(({ type }) => type === 'text')) this.all.append(delta);
    else this.#rejoin();
  }

  /** A part came or changed. Says whether that is news for those who show no input of a tool as it grows. */
  put(at: number, part: PreviewPart): boolean {
    const before = this.#parts[at];
    this.#parts[at] = part;
    this.#grow(at, part);
    if (before?.type === 'text' || part.type === 'text') this.#rejoin();
    if (isSameInput(before, part)) {
      this.#inputTimer ??= setTimeout(() => this.touch(), INPUT_WAIT);
      return false;
    }
    // That nothing more comes to a text is told with what comes after it.
    if (before?.type !== 'text' || part.type !== 'text') this.touch();
    return true;
  }

  /** A run writes the message, and these are its parts so far. */
  open(parts: readonly PreviewPart[]): void {
    this.#state = 'open';
    this.#final = undefined;
    this.#become(parts);
    for (const text of this.#texts.values()) text.open(text.text());
    this.all.open(joined(parts));
  }

  /** The message is final. The caller shows the row's status in the same publish. */
  end(parts: readonly PreviewPart[]): void {
    if (parts === this.#final) return;
    clearTimeout(this.#inputTimer);
    this.#inputTimer = undefined;
    this.#final = parts;
    this.#state = 'ended';
    this.#become(parts);
    for (const text of this.#texts.values()) text.end(text.text());
    this.all.end(joined(parts));
    this.publish();
  }

  protected override take(): readonly PreviewPart[] {
    clearTimeout(this.#inputTimer);
    this.#inputTimer = undefined;
    return [...this.#parts];
  }

  /** Parts that are what they were keep their identity, whatever their texts have grown to. */
  #become(parts: readonly PreviewPart[]): void {
    const before = this.#parts;
    this.#parts = parts.map((part, at) =>
      sameButText(before[at], part) ? (before[at] as PreviewPart) : part,
    );
    for (const [at, part] of parts.entries()) this.#grow(at, part);
    for (const [at, text] of this.#texts) if (at >= parts.length) text.become('');
    const same = before.length === parts.length && this.#parts.every((part, at) => part === before[at]);
    if (!same) this.touch();
  }

  /** The joined text is another, not only at its end. */
  #rejoin(): void {
    this.all.stale(() => joined(this.parts()));
  }

  #grow(at: number, part: PreviewPart): void {
    const text = proseOf(part);
    if (text !== undefined) this.text(at).become(text);
  }
}

/**
 * One message as its readers hold it. What nobody reads is given up when it is final, so it is looked up whenever
 * something is asked of it: a reader that comes to it late sees what a run writes by then.
 */
class Reading implements LiveHandle {
  readonly #message: () => LiveMessage;

  constructor(message: () => LiveMessage) {
    this.#message = message;
  }

  // Fields, so that a component may pass them to React as they are.
  readonly subscribe = (listener: () => void): (() => void) => this.#message().subscribe(listener);

  readonly getSnapshot = (): readonly PreviewPart[] => this.#message().getSnapshot();

  stream(part: number): StreamHandle {
    return this.#reading(message => message.text(part));
  }

  all(): StreamHandle {
    return this.#reading(message => message.all);
  }

  #reading(of: (message: LiveMessage) => TextStream): StreamHandle {
    return { text: () => of(this.#message()).text(), attach: sink => of(this.#message()).attach(sink) };
  }
}

/** The messages of one view that runs write, and those that somebody reads in the same way. */
export class LiveMessages {
  readonly #frames: Frames;
  readonly #all = new Map<string, LiveMessage>();
  /** Those that end when the rows are shown, with their final parts. */
  readonly #ending = new Map<string, readonly PreviewPart[]>();

  constructor(frames: Frames) {
    this.#frames = frames;
  }

  /**
   * What a run writes of the message or, while none does, what the row says; a run that comes later is seen too. `rows`
   * are those of the view at the time.
   */
  of(messageId: string, rows: () => readonly Row[]): Reading {
    return new Reading(() => this.#found(messageId, rows()));
  }

  /** The message, if a run writes it or somebody reads it. */
  known(messageId: string): LiveMessage | undefined {
    return this.#all.get(messageId);
  }

  /** Rows that came or changed, with all that is written of them so far. */
  open(rows: readonly Row[]): void {
    for (const row of rows) {
      if (!row.run) continue;
      // It may have been about to end: rows leave and come back between two frames.
      this.#ending.delete(row.id);
      const known = this.#all.get(row.id);
      if (known) known.open(row.parts);
      else this.#all.set(row.id, new LiveMessage(this.#frames, row.parts, 'open'));
    }
  }

  /** These are the rows now: what no run writes any more, or is held no more, ends with the next publish. */
  keep(rows: readonly Row[]): void {
    if (this.#all.size === 0) return;
    const held = new Map(rows.map(row => [row.id, row]));
    for (const [id, live] of this.#all) {
      const row = held.get(id);
      if (!row?.run) this.#ending.set(id, row?.parts ?? live.parts());
    }
  }

  /** Ends what has to end: final parts and the row's status are shown together. */
  settle(): void {
    for (const [id, parts] of this.#ending) {
      const live = this.#all.get(id);
      live?.end(parts);
      if (!live?.used) this.#all.delete(id);
    }
    this.#ending.clear();
  }

  #found(messageId: string, rows: readonly Row[]): LiveMessage {
    const known = this.#all.get(messageId);
    if (known) return known;
    const row = rows.find(row => row.id === messageId);
    const live = new LiveMessage(this.#frames, row?.parts ?? [], 'ended');
    this.#all.set(messageId, live);
    return live;
  }
}

function joined(parts: readonly PreviewPart[]): string {
  let all = '';
  for (const part of parts) if (part.type === 'text') all += proseOf(part);
  return all;
}

/** The part is a tool whose input grows, and was one before. */
function isSameInput(before: PreviewPart | undefined, now: PreviewPart): boolean {
  const streaming = (part: PreviewPart) => part.state === 'input-streaming';
  return before !== undefined && before.type === now.type && streaming(before) && streaming(now);
}

function sameButText(a: PreviewPart | undefined, b: PreviewPart): boolean {
  if (a === undefined || a.type !== b.type) return false;
  if (proseOf(b) === undefined) return JSON.stringify(a) === JSON.stringify(b);
  return JSON.stringify({ ...a, text: '' }) === JSON.stringify({ ...b, text: '' });
}
