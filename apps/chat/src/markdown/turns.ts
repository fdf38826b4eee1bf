//! How much is drawn before the page is painted again. Whoever finds the frame's budget spent waits for a turn, so
//! that a message, or a list of them, never takes the page's thread for long, however much is in it.

import { createContext, useContext, useEffect, useState } from 'react';

/** What a frame may draw, in elements: about 20 ms on a laptop. A screen of usual messages is some hundreds. */
const A_FRAME = 1_500;
/** Fuel of the parser that takes as long as an element. */
const FUEL_AN_ELEMENT = 1_500;
/** A page that is not seen paints no frames. */
const UNSEEN = 100;

let left = A_FRAME;
let refilling = false;
const waiting = new Set<() => void>();

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
  for (const turn of waiting) {
    if (left <= 0) break;
    waiting.delete(turn);
    // What it draws is counted when it does; this keeps the loop from giving all of them their turn.
    left -= 1;
    turn();
  }
  if (waiting.size > 0) refillLater();
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

/** Says that a text was parsed. */
export function spendFuel(fuel: number): void {
  spend(fuel / FUEL_AN_ELEMENT);
}

/** On a server nobody waits for a frame. */
function hasBudget(): boolean {
  return left > 0 || typeof document === 'undefined';
}

function waitForTurn(turn: () => void): () => void {
  waiting.add(turn);
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
    return waitForTurn(() => {
      spend(elements);
      setMine(true);
    });
  }, [wanted, whole, mine, elements]);
  return mine || (wanted && whole);
}
