//! How the client stands: its connection, its role among the tabs, its storage and its outbox.

import type { Frames } from '../page/frames.js';
import { FrameStore } from '../page/store.js';
import { type Problem, ProblemError } from '../words/problem.js';
import type { SyncStatus } from '../words/types.js';

const FIRST: SyncStatus = {
  connection: 'connecting',
  engine: 'sync',
  role: 'solo',
  transport: 'socket',
  storage: 'ok',
  pending: 0,
  failed: 0,
};

/** What may be set. */
type Change = Partial<Pick<SyncStatus, 'role' | 'transport' | 'storage' | 'pending' | 'failed'>>;

/** What the core says of the connection. */
export interface StatusNews extends Pick<SyncStatus, 'connection' | 'mode'> {
  error?: Problem;
}

/** The browser has no network. */
export const offline = () => globalThis.navigator?.onLine === false;

export class Status extends FrameStore<SyncStatus> {
  #status = FIRST;
  #refusal: ProblemError | undefined;

  constructor(frames: Frames) {
    super(frames, FIRST);
  }

  /** Something is so from now on. If it was so before, nothing is shown anew. */
  set(change: Change): void {
    const before = this.#status;
    const next = { ...before, ...change };
    if ((Object.keys(change) as (keyof Change)[]).every(key => next[key] === before[key])) return;
    this.#status = next;
    this.touch();
  }

  /** The server refuses pages of this origin; or that is not known any more. */
  refuse(problem: ProblemError | undefined): void {
    if (this.#refusal?.code === problem?.code) return;
    this.#refusal = problem;
    this.touch();
  }

  connected({ error: problem, ...news }: StatusNews): void {
    if (news.connection === 'live') this.#refusal = undefined;
    const { error: _, ...rest } = this.#status;
    this.#status = { ...rest, ...news, ...(problem && { error: new ProblemError(problem) }) };
    this.touch();
  }

  protected override take(): SyncStatus {
    const { connection } = this.#status;
    // The connection goes on being tried: the server may be set to let the origin in.
    if (this.#refusal && (connection === 'connecting' || connection === 'reconnecting'))
      return { ...this.#status, connection: 'refused', error: this.#refusal };
    const cut = this.#status.connection === 'reconnecting' && offline();
    return cut ? { ...this.#status, connection: 'offline' } : this.#status;
  }
}
