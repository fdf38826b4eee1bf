//! The list of threads.

import type { ListHandle, ListSnapshot } from '@threadmill/client';
import { useCallback, useLayoutEffect, useState, useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

const LOADING: ListSnapshot = { status: 'loading', threads: [], hasMore: false, loadingMore: false };
const noSubscription = () => () => {};
const loading = () => LOADING;

/** The threads loaded so far, newest first, and the way to more. */
export interface Threads extends ListSnapshot {
  loadMore(): Promise<void>;
}

/**
 * The threads of the user, live, newest first; with `title`, those whose title holds it.
 *
 * @example
 * const { threads, hasMore, loadMore } = useThreads({ title: 'garden' });
 */
export function useThreads(options: { title?: string } = {}): Threads {
  const client = useClient();
  const { title } = options;
  const [held, setHeld] = useState<ListHandle>();
  useLayoutEffect(() => {
    const handle = client.threads(title ? { title } : {});
    setHeld(handle);
    return () => handle.release();
  }, [client, title]);
  const snapshot = useSyncExternalStore(
    held ? held.subscribe : noSubscription,
    held ? held.getSnapshot : loading,
    loading,
  );
  const loadMore = useCallback(async () => held?.loadMore(), [held]);
  return { ...snapshot, loadMore };
}
