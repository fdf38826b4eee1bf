//! Where the reader is. The address bar is the store.
//!
//! Room `shell`: the page around what is shown: address, title, drawer, reports, boundaries, connection, and what this
//! device remembers of a reader. It knows no message and no control.

import { useSyncExternalStore } from 'react';
import { parseRoute, type Route } from './address';
import { ifAllowed } from './browser';
import { isDrawerEntry } from './drawer';

const listeners = new Set<() => void>();
/** Where the reader went while the browser took no entry of its history: Safari takes a hundred in half a minute. */
let untold: string | undefined;
let cached: { href: string; route: Route } | undefined;

function current(): Route {
  const href = here();
  if (cached?.href !== href) {
    const { pathname, search } = new URL(href, location.origin);
    cached = { href, route: parseRoute(pathname, search) };
  }
  return cached.route;
}

function here(): string {
  return untold ?? location.pathname + location.search;
}

/** The reader went back or forth: the address says where. */
function told(): void {
  untold = undefined;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  // Before all listeners, once: a browser takes the same function once.
  window.addEventListener('popstate', told);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

/** Goes to a path, as a new entry of the history. Where the browser takes none, the page goes there all the same. */
export function navigate(path: string): void {
  if (path === here()) return;
  untold = path;
  ifAllowed(() => {
    // The drawer's entry has done its work: Back leads to the page before it.
    if (isDrawerEntry(history.state)) history.replaceState(null, '', path);
    else history.pushState(null, '', path);
    untold = undefined;
  });
  for (const listener of listeners) listener();
}

/** Where the reader is now. */
export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current);
}
