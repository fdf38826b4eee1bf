//! Holds a thread open while a component shows it. Handles are counted by the client, so many hooks share one.

import type { Anchor, ThreadHandle, ThreadSnapshot } from '@threadmill/client';
import { useLayoutEffect, useState, useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

/** What a thread looks like before its first window. One object, so that React sees no change. */
export const LOADING: ThreadSnapshot = {
  status: 'loading',
  rows: [],
  firstIndex: 0,
  total: 0,
  hasOlder: false,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
};

const noSubscription = () => () => {};
const loading = () => LOADING;

/**
 * The handle of a thread, once the component is mounted. The anchor only says where to open.
 *
 * Taken in a layout effect and not while rendering: React may render and throw away, and a handle taken then
 * would never be released.
 */
export function useThreadHandle(
  threadId: string | 'skip',
  options?: { branch?: string; anchor?: Anchor },
): ThreadHandle | undefined {
  const client = useClient();
  const [held, setHeld] = useState<ThreadHandle>();
  const key = JSON.stringify(options ?? {});
  useLayoutEffect(() => {
    if (threadId === 'skip') return;
    const handle = client.thread(threadId, JSON.parse(key) as { branch?: string; anchor?: Anchor });
    setHeld(handle);
    return () => handle.release();
  }, [client, threadId, key]);
  return held?.threadId === threadId ? held : undefined;
}

/** What a handle shows now. */
export function useThreadSnapshot(handle: ThreadHandle | undefined): ThreadSnapshot {
  const subscribe = handle ? handle.subscribe : noSubscription;
  const snapshot = handle ? handle.getSnapshot : loading;
  return useSyncExternalStore(subscribe, snapshot, loading);
}
