//! All polls of the page: one a question, shared by who shows it, kept for a while when nobody does, so that a way back
//! shows what was known at once. They pause together while the page is hidden.
//!
//! Room `ops`: the operators' page at `/ops`, with an entry and chunks of its own. Of the chat page it has the colours,
//! the icons and the smallest controls; that page never looks here.

import { useSyncExternalStore } from 'react';
import { ask } from './ask';
import type { Fields } from './fields';
import { type Known, Poll } from './poll';

/** Polls that are kept though nobody looks. */
const KEPT = 24;

const polls = new Map<string, Poll<unknown>>();
let paused = false;
let halted = false;

/** The poll of a question; the first who asks says how to read the answer and how often to ask. */
export function pollOf<T>(path: string, read: (answer: Fields) => T, everyMs: number): Poll<T> {
  const known = polls.get(path);
  if (known) return known as Poll<T>;
  const poll = new Poll(signal => ask(path, read, signal), everyMs);
  poll.pause(paused || halted);
  for (const [other, { isWatched }] of polls) {
    if (polls.size < KEPT) break;
    if (!isWatched) polls.delete(other);
  }
  polls.set(path, poll as Poll<unknown>);
  return poll;
}

export function usePoll<T>(poll: Poll<T>): Known<T> {
  return useSyncExternalStore(poll.subscribe, poll.getSnapshot);
}

/** There is another token: all that is shown is asked for again. */
export function askAllAgain(): void {
  for (const poll of polls.values()) if (poll.isWatched) poll.again();
}

/** The reader wants the page to stand still, or to go on. */
export function halt(still: boolean): void {
  halted = still;
  settle();
}

function settle(): void {
  for (const poll of polls.values()) poll.pause(paused || halted);
}

/** Follows whether the page is seen. */
export function pauseWhileHidden(): void {
  const look = () => {
    paused = document.visibilityState === 'hidden';
    settle();
  };
  document.addEventListener('visibilitychange', look);
  look();
}
