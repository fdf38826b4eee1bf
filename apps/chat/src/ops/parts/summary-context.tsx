//! What every part of the page may ask of the summary: what time it is at the node, and whether actions are allowed.

import { createContext, useContext } from 'react';
import type { Summary } from '../data/shapes';

export interface Standing {
  readonly summary: Summary | undefined;
  /** Milliseconds by the node's clock; counts up once a second. */
  readonly now: number;
  /** Milliseconds by this browser's clock; counts up once a second. */
  readonly here: number;
  /** Whether the page stands still: nobody asks. */
  readonly paused: boolean;
  readonly write: boolean;
}

const Context = createContext<Standing>({ summary: undefined, now: 0, here: 0, paused: false, write: false });

export const StandingProvider = Context.Provider;

export function useStanding(): Standing {
  return useContext(Context);
}
