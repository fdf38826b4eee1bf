//! How long a message takes to render, for whoever reports it: rows that render together share the time to their commit.

import { measured } from '@threadmill/client';
import { useLayoutEffect } from 'react';

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
