//! How much is drawn before the page is painted again. Whoever finds the frame's budget spent waits for a turn, so
//! that a message, or a list of them, never takes the page's thread for long, however much is in it.
//!
//! Room `turns`: what is drawn when: in turns before a paint and after it, in slices, and how often. It knows nothing
//! of what is drawn.

import { createContext, useContext, useEffect, useState } from 'react';
import { flushSync } from 'react-dom';

/** What a frame may draw, in elements: about 20 ms on a laptop. A screen of usual messages is some hundreds. */
const A_FRAME = 1_500;
/** Fuel of the parser that takes as long as an element. */
const FUEL_AN_ELEMENT = 1_500;
/** A page that is not seen paints no frames. */
const UNSEEN = 100;

let left = A_FRAME;
let refilling = false;
/** Who waits for a turn, and what each means to draw, in elements. */
const waiting = new Map<() => void, number>();
/** Turns are given until they mean to draw so much; what they have drawn is known before the next. */
const TOGETHER = 400;

function afterFrame(then: () => void): void {
  let called = false;
  const once = () => {
    if (called) return;
    called = true;
    then();
  };
  if (typeof requestAnimationFrame === 'function') requestAnimationFrame(() => setTimeout(once));
  setTimeout(once, UNSEEN);
}

function refill(): void {
  refilling = false;
  left = A_FRAME;
  while (left > 0 && waiting.size > 0) flushSync(giveTurns);
  if (waiting.size > 0) refillLater();
}

function giveTurns(): void {
  let meant = 0;
  for (const [turn, elements] of waiting) {
    waiting.delete(turn);
    meant += elements;
    // Whoever means to draw nothing is counted too, so that this ends.
    spend(Math.max(1, elements));
    turn();
    if (meant >= TOGETHER) break;
  }
}

function refillLater(): void {
  if (refilling) return;
  refilling = true;
  afterFrame(refill);
}

/** Says that this many elements are drawn. */
export function spend(elements: number): void {
  left -= elements;
  refillLater();
}

/** What so much fuel of the parser is worth, in elements. */
export function elementsOf(fuel: number): number {
  return fuel / FUEL_AN_ELEMENT;
}

/** On a server nobody waits for a frame. */
function hasBudget(): boolean {
  return left > 0 || typeof document === 'undefined';
}

function waitForTurn(turn: () => void, elements: number): () => void {
  waiting.set(turn, elements);
  refillLater();
  return () => {
    waiting.delete(turn);
  };
}

/** What is inside is drawn whole and at once: paper has no next frame. */
export const DrawnWhole = createContext(false);

/** True once it is the caller's turn to draw `elements`; at once if this frame has not drawn much. */
export function useTurn(wanted: boolean, elements: number): boolean {
  const whole = useContext(DrawnWhole);
  const [mine, setMine] = useState(() => {
    if (!wanted || whole || !hasBudget()) return false;
    spend(elements);
    return true;
  });
  useEffect(() => {
    if (!wanted || whole || mine) return;
    return waitForTurn(() => setMine(true), elements);
  }, [wanted, whole, mine, elements]);
  return mine || (wanted && whole);
}
