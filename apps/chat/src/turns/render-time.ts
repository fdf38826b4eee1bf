//! How long a message takes to render, and how often it does while it is written, for whoever reports it. Rows that render
//! together share the time to their commit.

import { measured } from '@threadmill/client';
import { useEffect, useLayoutEffect, useRef } from 'react';
import { rowRenders } from './counters';

/** Milliseconds after which a rendering was given up, or waited for something else. */
const GIVEN_UP = 1_000;

let began = 0;
let rows = 0;

/** Called by a row while it renders. */
export function useRenderTime(): void {
  const now = performance.now();
  if (now - began > GIVEN_UP) rows = 0;
  if (rows === 0) began = now;
  rows += 1;
  useLayoutEffect(() => {
    if (rows === 0) return;
    measured('render', (performance.now() - began) / rows);
    rows = 0;
  });
}

/** Called by the row of a message: tells, when it is written to its end, how often it rendered since it began to be. */
export function useWrittenRenders(id: string, written: boolean): void {
  const before = useRef<number>(undefined);
  useEffect(() => {
    // The rendering that brought this about counts on either side.
    if (written) before.current = rowRenders(id) - 1;
    else if (before.current !== undefined) {
      measured('renders', rowRenders(id) - before.current);
      before.current = undefined;
    }
  }, [id, written]);
}
