//! Where the reader is. The address bar is the store.
//!
//! Room `shell`: the page around what is shown: address, title, drawer, reports, boundaries, connection, and what this
//! device remembers of a reader. It knows no message and no control.

import { useSyncExternalStore } from 'react';
import { parseRoute, type Route } from './address';
import { isDrawerEntry } from './drawer';

const listeners = new Set<() => void>();
let cached: { href: string; route: Route } | undefined;

function current(): Route {
  const href = location.pathname + location.search;
  if (cached?.href !== href) cached = { href, route: parseRoute(location.pathname, location.search) };
  return cached.route;
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  window.addEventListener('popstate', listener);
  return () => {
    listeners.delete(listener);
    window.removeEventListener('popstate', listener);
  };
}

/** Goes to a path, as a new entry of the history. */
export function navigate(path: string): void {
  if (path === location.pathname + location.search) return;
  // The drawer's entry has done its work: Back leads to the page before it.
  if (isDrawerEntry(history.state)) history.replaceState(null, '', path);
  else history.pushState(null, '', path);
  for (const listener of listeners) listener();
}

/** Where the reader is now. */
export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current);
}
