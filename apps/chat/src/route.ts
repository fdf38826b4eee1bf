//! Where the reader is: `/`, or `/t/THREAD`, with `?m=MESSAGE` to land on one. The address bar is the store.

import { useSyncExternalStore } from 'react';

/** A place in the page. */
export interface Route {
  readonly threadId: string | undefined;
  readonly messageId: string | undefined;
}

const listeners = new Set<() => void>();
let cached: { href: string; route: Route } | undefined;

/** Reads a path and a query. */
export function parseRoute(pathname: string, search: string): Route {
  const found = /^\/t\/([^/]+)\/?$/.exec(pathname)?.[1];
  let threadId: string | undefined;
  try {
    threadId = found === undefined ? undefined : decodeURIComponent(found);
  } catch {
    // A broken escape names no thread.
  }
  return { threadId, messageId: new URLSearchParams(search).get('m') ?? undefined };
}

/** The address of a thread, or of one message in it. */
export function threadPath(threadId: string, messageId?: string): string {
  const path = `/t/${encodeURIComponent(threadId)}`;
  return messageId === undefined ? path : `${path}?m=${encodeURIComponent(messageId)}`;
}

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
  history.pushState(null, '', path);
  for (const listener of listeners) listener();
}

/** Where the reader is now. */
export function useRoute(): Route {
  return useSyncExternalStore(subscribe, current);
}
