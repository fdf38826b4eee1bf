//! What is said beside a tool's name.

import { createContext } from 'react';

/** Whether a run still writes the message that a part is shown in. */
export const MessageIsWritten = createContext(false);

const STATES: ReadonlyMap<unknown, string> = new Map([
  ['input-streaming', 'preparing'],
  ['input-available', 'running'],
  ['output-available', 'done'],
  ['output-error', 'failed'],
]);

/** A call that waits in an answer that has ended waits for nothing: earlier releases left such calls as they were. */
const ENDED: ReadonlyMap<unknown, string> = new Map([
  ['input-streaming', 'cut short'],
  ['input-available', 'not run'],
]);

/** The note of a call in this state. */
export function toolNote(state: unknown, writing: boolean): string {
  return (writing ? undefined : ENDED.get(state)) ?? STATES.get(state) ?? '';
}
