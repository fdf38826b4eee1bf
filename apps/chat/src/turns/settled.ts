//! Values that change too fast to be shown or asked for each time.

import { useEffect, useState } from 'react';

/** Milliseconds of rest in typing: one request a word, not one a letter. */
export const SETTLE = 150;

/** The value once it has not changed for `ms` milliseconds. */
export function useSettled<T>(value: T, ms: number): T {
  const [settled, setSettled] = useState(value);
  useEffect(() => {
    const timer = setTimeout(() => setSettled(value), ms);
    return () => clearTimeout(timer);
  }, [value, ms]);
  return settled;
}
