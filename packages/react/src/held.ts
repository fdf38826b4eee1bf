//! Holds something of the client's that is counted (a thread's window, the list) while a component is mounted.

import type { Store } from '@threadmill/client';
import { useLayoutEffect, useState, useSyncExternalStore } from 'react';

/** A store that is given back. */
interface Counted extends Store<unknown> {
  release(): void;
}

const noSubscription = () => () => {};

/**
 * What `take` gave, once the component is mounted, until `take` is another function. Without `take` nothing is held.
 *
 * Taken in a layout effect and not while rendering: React may render and throw away, and what was taken then would
 * never be given back.
 */
export function useHeld<H extends Counted>(take: (() => H) | undefined): H | undefined {
  const [held, setHeld] = useState<{ by: () => H; handle: H }>();
  useLayoutEffect(() => {
    if (!take) return;
    const handle = take();
    setHeld({ by: take, handle });
    return () => handle.release();
  }, [take]);
  return held?.by === take ? held?.handle : undefined;
}

/** What a store shows now; `nothing` while there is none and on the server. */
export function useShown<T>(store: Store<T> | undefined, nothing: () => T): T {
  return useSyncExternalStore(store?.subscribe ?? noSubscription, store?.getSnapshot ?? nothing, nothing);
}
