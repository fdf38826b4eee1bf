//! The types of `faults.mjs`, for tests that are written in TypeScript.

interface Fault {
  readonly bar: string;
  /** Of the client, and the text in it that gives way to `replace`; without them the bar plants the fault itself. */
  readonly file?: string;
  readonly find?: string;
  readonly replace?: string;
  readonly check: string;
  readonly says: string;
}

export const FAULTS: Readonly<Record<string, Fault>>;
