//! Long lists of things to draw, a slice a turn, and beyond what anybody scrolls through at the reader's word.

import { memo, type ReactNode, useContext, useMemo, useState } from 'react';
import { DrawnWhole, useTurn } from './turns';

/** What a slice may weigh, in elements. */
const SLICE = 400;
/** About 5,000 elements: a table of 500 rows. */
const MOST = 12;

interface Slice {
  readonly start: number;
  readonly end: number;
  readonly weight: number;
}

/** Cuts by weight from the start, so that what is added at the end moves no cut but the last. */
export function slicesOf<T>(things: readonly T[], weightOf: (thing: T) => number): readonly Slice[] {
  const slices: Slice[] = [];
  let start = 0;
  let weight = 0;
  things.forEach((thing, index) => {
    const own = weightOf(thing);
    if (index > start && weight + own > SLICE) {
      slices.push({ start, end: index, weight });
      start = index;
      weight = 0;
    }
    weight += own;
  });
  if (start < things.length) slices.push({ start, end: things.length, weight });
  return slices;
}

interface SlicesProps<T> {
  readonly things: readonly T[];
  weightOf(thing: T): number;
  render(thing: T, index: number): ReactNode;
  /** How many slices come by themselves, and with each word of the reader. */
  readonly most?: number;
  /** Puts the button for more where the things are: into an item of a list, say. */
  around?(button: ReactNode): ReactNode;
}

/** Draws all things, in slices if they are many. */
export function Slices<T>({ things, weightOf, render, around, most = MOST }: SlicesProps<T>) {
  const slices = useMemo(() => slicesOf(things, weightOf), [things, weightOf]);
  const whole = useContext(DrawnWhole);
  const [asked, setAsked] = useState(0);
  const shown = whole ? slices.length : most + asked;
  const button = (
    <button type="button" className="text-button" onClick={() => setAsked(now => now + most)}>
      Show more
    </button>
  );
  return (
    <>
      {slices.slice(0, shown).map(({ start, end, weight }) => (
        <InTurn
          key={start}
          things={things.slice(start, end)}
          first={start}
          // What weighs more than a slice is one thing with slices of its own: the first of them comes with it.
          weight={Math.min(weight, SLICE)}
          render={render as (thing: unknown, index: number) => ReactNode}
        />
      ))}
      {slices.length > shown && (around ? around(button) : button)}
    </>
  );
}

interface InTurnProps {
  readonly things: readonly unknown[];
  /** The index of the first of them. The first of all comes with what holds it. */
  readonly first: number;
  readonly weight: number;
  render(thing: unknown, index: number): ReactNode;
}

function isSame(before: InTurnProps, now: InTurnProps): boolean {
  if (before.render !== now.render || before.things.length !== now.things.length) return false;
  return before.things.every((thing, index) => thing === now.things[index]);
}

/** A slice. When a text grows, only those with something new are drawn anew. */
const InTurn = memo(function InTurn({ things, first, weight, render }: InTurnProps) {
  const mine = useTurn(first > 0, weight);
  if (first > 0 && !mine) return null;
  return things.map((thing, index) => render(thing, first + index));
}, isSame);
