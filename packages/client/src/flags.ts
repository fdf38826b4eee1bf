//! Feature flags as the server decides them for this user. The last answer is kept, so that a start without the
//! network has it at once. Nothing here asks by itself: the owner says when.

import type { Frames } from './page/frames.js';
import { FrameStore } from './page/store.js';
import { type LocalStrings, localStrings } from './storage/local-strings.js';
import type { Access } from './transport/access.js';
import { isObject, isText } from './words/json.js';
import { problemOf, unreachable } from './words/problem.js';

type Values = Readonly<Record<string, boolean>>;

/** What is kept between starts. */
interface Answer {
  readonly rev: number;
  readonly flags: Values;
  readonly etag?: string;
}

const NONE: Answer = { rev: 0, flags: {} };
/** What an entity tag may be made of. */
const TAG = /^[\x20-\x7e]+$/;

export class Flags extends FrameStore<Values> {
  readonly #access: Access;
  readonly #strings: LocalStrings;
  readonly #key: string;
  #answer: Answer;
  #asking: Promise<void> | undefined;

  constructor(frames: Frames, access: Access, strings: LocalStrings = localStrings()) {
    const key = `threadmill.flags.${access.name}`;
    const answer = read(strings.get(key)) ?? NONE;
    super(frames, answer.flags);
    this.#access = access;
    this.#strings = strings;
    this.#key = key;
    this.#answer = answer;
  }

  /** Counts the server's decisions; 0 before the first. */
  get rev(): number {
    return this.#answer.rev;
  }

  /** The flag as last heard, published or not. */
  get(name: string, fallback: boolean): boolean {
    return Object.hasOwn(this.#answer.flags, name) ? this.#answer.flags[name] === true : fallback;
  }

  /** Asks the server. Rejects if it does not answer; what is known stays. Calls that overlap share one request. */
  refresh(): Promise<void> {
    this.#asking ??= this.#ask().finally(() => {
      this.#asking = undefined;
    });
    return this.#asking;
  }

  /** The user signs out: nothing stays. */
  clear(): void {
    this.#strings.remove(this.#key);
    this.#answer = NONE;
    this.touch();
  }

  protected override take(): Values {
    return this.#answer.flags;
  }

  async #ask(): Promise<void> {
    const { etag } = this.#answer;
    const headers: Record<string, string> = { accept: 'application/json' };
    // Known only where the server lets the page read it, and then it may be sent as well.
    if (etag !== undefined) headers['if-none-match'] = etag;
    const response = await this.#access.fetch('/flags', { headers }).catch(() => undefined);
    if (!response) throw await this.#access.unanswered();
    if (response.status === 304) return;
    // A server without the route has no flags.
    if (response.status === 404) return this.#set(NONE);
    if (!response.ok) throw await problemOf(response);
    const answer = read(await response.text());
    if (!answer) throw unreachable();
    const tag = response.headers.get('etag');
    this.#set({ rev: answer.rev, flags: answer.flags, ...(tag === null ? {} : { etag: tag }) });
  }

  #set(answer: Answer): void {
    const before = this.#answer;
    const same = JSON.stringify(answer.flags) === JSON.stringify(before.flags);
    this.#answer = same ? { ...answer, flags: before.flags } : answer;
    this.#strings.set(this.#key, JSON.stringify(answer));
    if (!same) this.touch();
  }
}

/** What was kept or answered; nothing if it is no answer. */
function read(json: string | undefined): Answer | undefined {
  try {
    const answer: unknown = JSON.parse(json ?? '');
    if (!isObject(answer) || typeof answer.rev !== 'number' || !isObject(answer.flags)) return undefined;
    const { rev, etag } = answer;
    const flags = answer.flags as Values;
    // It is sent as it is: one that no request can carry would keep all from being made.
    return isText(etag) && TAG.test(etag) ? { rev, flags, etag } : { rev, flags };
  } catch {
    return undefined;
  }
}
