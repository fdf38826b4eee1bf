//! The title of the page: the thread's, on the tab and, on narrow screens, at the top.

import { useEffect, useSyncExternalStore } from 'react';
import { asName } from '../text/text';

const NAME = 'Threadmill';
const listeners = new Set<() => void>();
let current = '';
let wanted = '';

/** Shown when all is over that a change of thread brings at once: each title costs the browser a millisecond. */
function set(title: string): void {
  wanted = title;
  queueMicrotask(show);
}

function show(): void {
  if (wanted === current) return;
  current = wanted;
  document.title = current === '' ? NAME : `${current} · ${NAME}`;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Gives the page this title while the caller is mounted. */
export function useOwnTitle(title: string | undefined): void {
  useEffect(() => {
    set(asName(title ?? ''));
    return () => set('');
  }, [title]);
}

/** The title now, for the top of the page. */
export function usePageTitle(): string {
  return useSyncExternalStore(subscribe, () => current) || NAME;
}
