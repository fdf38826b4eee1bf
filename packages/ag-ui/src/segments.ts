//! Which of AG-UI's messages a part of an answer belongs to. There an assistant's message is one text and then its tool calls;
//! here it is parts in any order, so one message may be several there. The ids are made the same way while it is written
//! and afterwards.

/** What ends the id of every message but an answer's first. */
const MARK = '~';
const LATER = /~t?\d+$/;

/** The id here of the message whose id there this is. */
export function messageOf(id: string): string {
  return id.replace(LATER, '');
}

export class Segments {
  readonly #message: string;
  #segment = 0;
  #isFresh = true;
  #thoughts = 0;

  constructor(message: string) {
    this.#message = message;
  }

  /** The message that a text is. */
  text(): string {
    if (!this.#isFresh) this.#segment += 1;
    this.#isFresh = false;
    return this.#id();
  }

  /** The message that a tool call is of. */
  call(): string {
    this.#isFresh = false;
    return this.#id();
  }

  /** The message that a piece of reasoning is. */
  reasoning(): string {
    const id = `${this.#message}${MARK}t${this.#thoughts}`;
    this.#thoughts += 1;
    return id;
  }

  #id(): string {
    return this.#segment === 0 ? this.#message : `${this.#message}${MARK}${this.#segment}`;
  }
}

/** The message that what a tool gave is. */
export function resultOf(toolCall: string): string {
  return `${toolCall}${MARK}result`;
}

/** A value as AG-UI has it where it wants text. */
export function textOf(value: unknown): string {
  return typeof value === 'string' ? value : (JSON.stringify(value) ?? '');
}
