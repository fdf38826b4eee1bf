//! Loads a thread while the reader is about to open it.

import { useClient } from '@threadmill/react';
import { useEffect, useMemo } from 'react';
import { fetchWished } from '../habits/prefetcher';

/** Milliseconds that a pointer or the focus rests on a thread before it is loaded: passing by is no wish. */
const REST = 80;

/** Handlers for what leads to a thread. */
export function usePrefetch(threadId: string) {
  const client = useClient();
  const { wish, handlers } = useMemo(() => {
    const wish: { timer?: ReturnType<typeof setTimeout> } = {};
    const begin = () => {
      clearTimeout(wish.timer);
      wish.timer = setTimeout(() => fetchWished(client, threadId), REST);
    };
    const end = () => clearTimeout(wish.timer);
    return { wish, handlers: { onPointerEnter: begin, onPointerLeave: end, onFocus: begin, onBlur: end } };
  }, [client, threadId]);
  useEffect(() => () => clearTimeout(wish.timer), [wish]);
  return handlers;
}
