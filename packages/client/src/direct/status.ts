//! How the direct engine fares, told by the answers to its polls.

import type { Frames } from '../page/frames.js';
import { FrameStore } from '../page/store.js';
import type { LocalStrings } from '../storage/local-strings.js';
import { ProblemError } from '../words/problem.js';
import type { SyncStatus } from '../words/types.js';

const FIRST: SyncStatus = {
  connection: 'connecting',
  engine: 'direct',
  role: 'solo',
  transport: 'poll',
  storage: 'ok',
  pending: 0,
  failed: 0,
};

export class DirectStatus extends FrameStore<SyncStatus> {
  readonly #strings: LocalStrings;
  readonly #reason: SyncStatus['reason'];
  #connection: SyncStatus['connection'] = 'connecting';
  #error: ProblemError | undefined;
  #pending = 0;

  constructor(frames: Frames, strings: LocalStrings, reason: SyncStatus['reason']) {
    super(frames, { ...FIRST, ...(reason ? { reason } : {}) });
    this.#strings = strings;
    this.#reason = reason;
  }

  /** Follows one poll: what it answers says how the connection is. */
  async watch<T>(poll: Promise<T>): Promise<T> {
    try {
      const answer = await poll;
      this.#set('live');
      return answer;
    } catch (error) {
      this.#failed(error);
      throw error;
    }
  }

  /** Follows one write, which is pending until it is answered. */
  async write<T>(write: Promise<T>): Promise<T> {
    this.#pending += 1;
    this.touch();
    try {
      return await write;
    } finally {
      this.#pending -= 1;
      this.touch();
    }
  }

  protected override take(): SyncStatus {
    const offline = this.#connection === 'reconnecting' && globalThis.navigator?.onLine === false;
    return {
      ...FIRST,
      connection: offline ? 'offline' : this.#connection,
      ...(this.#error ? { error: this.#error } : {}),
      ...(this.#reason ? { reason: this.#reason } : {}),
      storage: this.#strings.state,
      pending: this.#pending,
    };
  }

  #failed(error: unknown): void {
    const status = error instanceof ProblemError ? error.status : 0;
    if (status === 401 || status === 403) this.#set('refused', error as ProblemError);
    else if (status === 0 || status === 429 || status >= 500) this.#set('reconnecting');
    // What is not found was looked for.
    else this.#set('live');
  }

  #set(connection: SyncStatus['connection'], error?: ProblemError): void {
    if (connection === this.#connection && error?.code === this.#error?.code) return;
    this.#connection = connection;
    this.#error = error;
    this.touch();
  }
}
