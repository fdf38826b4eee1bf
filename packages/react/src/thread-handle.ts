//! Holds a thread open while a component shows it. Handles are counted by the client, so many hooks share one.

import type { Anchor, ThreadHandle, ThreadSnapshot } from '@threadmill/client';
import { useMemo } from 'react';
import { useHeld, useShown } from './held.js';
import { useClient } from './provider.js';

/** What a thread looks like before its first window. One object, so that React sees no change. */
const LOADING: ThreadSnapshot = {
  status: 'loading',
  rows: [],
  firstIndex: 0,
  total: 0,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
};
const loading = () => LOADING;

/** Where to open a thread, and on which branch. Read when the thread opens. */
export interface OpenAt {
  readonly anchor?: Anchor;
  readonly branch?: string;
}

/** The handle of a thread, once the component is mounted. */
export function useThreadHandle(threadId: string | 'skip', at?: OpenAt): ThreadHandle | undefined {
  const client = useClient();
  // Written out, so that an object made anew by every render opens nothing anew.
  const key = JSON.stringify(at ?? {});
  const take = useMemo(
    () => (threadId === 'skip' ? undefined : () => client.thread(threadId, JSON.parse(key) as OpenAt)),
    [client, threadId, key],
  );
  return useHeld(take);
}

/** What a handle shows now. */
export function useThreadSnapshot(handle: ThreadHandle | undefined): ThreadSnapshot {
  return useShown(handle, loading);
}
