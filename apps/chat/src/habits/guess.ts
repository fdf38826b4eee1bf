//! Which thread is opened next, and whether its reader will go far up: guesses from what this browser remembers and, where
//! it remembers little, from what others of the tenant do as a rule.

import { WAYS, type Way } from './counts';
import type { Memory } from './memory';

/** What the server says of others, as shares; `older`: of looks at a thread, those that went far up. */
export interface Hints {
  readonly next: number;
  readonly previous: number;
  readonly older: number;
}

/** What is taken for it where nobody knows: measured nowhere, and overruled by a few switches. */
const NOBODY: Hints = { next: 0.3, previous: 0.2, older: 0.2 };
/** How many switches of the reader's own weigh as much as what others do. */
const OTHERS = 5;
/** The same for the switches from one thread. */
const FEW = 2;
/** A thread that is less likely is not fetched. */
const LEAST = 0.15;
/** Threads that are fetched after a switch. */
const MOST = 2;

/** Where the reader is. */
export interface Standing {
  readonly here: string;
  readonly previous: string | undefined;
  /** The threads beside it in the list, the next one first. */
  readonly neighbours: readonly string[];
}

/** The share of switches that go a way. */
function share(memory: Memory, way: Way, others: number): number {
  const all = memory.ways.reduce((a, b) => a + b, 0);
  return ((memory.ways[WAYS.indexOf(way)] ?? 0) + OTHERS * others) / (all + OTHERS);
}

/** Threads that are likely to be opened next, the likeliest first. */
export function likely(memory: Memory, at: Standing, hints: Hints = NOBODY): readonly string[] {
  const scores = new Map<string, number>();
  const add = (id: string | undefined, score: number) => {
    if (id !== undefined && id !== at.here) scores.set(id, (scores.get(id) ?? 0) + score);
  };
  const from = memory.pairs.filter(([from]) => from === at.here);
  const own = from.length / (from.length + FEW);
  for (const [, to] of from) add(to, own / from.length);
  const others = 1 - own;
  add(at.previous, others * share(memory, 'previous', hints.previous));
  const next = others * share(memory, 'next', hints.next);
  // The one below is what comes next for who goes through a list.
  for (const [place, id] of at.neighbours.entries()) add(id, next * (place === 0 ? 0.7 : 0.3));
  return [...scores]
    .filter(([, score]) => score >= LEAST)
    .sort(([, a], [, b]) => b - a)
    .slice(0, MOST)
    .map(([id]) => id);
}

/** Whether the next page of older messages is worth having before it is asked for. */
export function goesUp(memory: Memory, hints: Hints = NOBODY): boolean {
  const [all, far] = memory.looks;
  return (far + OTHERS * hints.older) / (all + OTHERS) > 0.5;
}
