//! The list of threads.

import type { ListSnapshot } from '@threadmill/client';
import { useCallback, useInsertionEffect, useMemo, useRef } from 'react';
import { useHeld, useShown } from './held.js';
import { useClient } from './provider.js';

const LOADING: ListSnapshot = { status: 'loading', threads: [], hasMore: false, loadingMore: false };
const loading = () => LOADING;

/** The threads loaded so far, newest first, and the way to more: one function for as long as the component lives. */
export interface Threads extends ListSnapshot {
  loadMore(): Promise<void>;
}

/**
 * The threads of the user, live, newest first; with `title`, those whose title holds it. `'skip'` lists nothing.
 *
 * @example
 * const { threads, hasMore, loadMore } = useThreads({ title: 'garden' });
 * return <ul>{threads.map(thread => <li key={thread.id}>{thread.title}</li>)}</ul>;
 */
export function useThreads(options: { title?: string } | 'skip' = {}): Threads {
  const client = useClient();
  const title = options === 'skip' ? undefined : (options.title ?? '');
  const take = useMemo(
    () => (title === undefined ? undefined : () => client.threads(title === '' ? {} : { title })),
    [client, title],
  );
  const list = useHeld(take);
  const snapshot = useShown(list, loading);
  const now = useRef(list);
  useInsertionEffect(() => {
    now.current = list;
  });
  const loadMore = useCallback(async () => now.current?.loadMore(), []);
  return useMemo(() => ({ ...snapshot, loadMore }), [snapshot, loadMore]);
}
