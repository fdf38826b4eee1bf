//! The writes that the server has not acknowledged.

import type { OutboxHandle, OutboxItem } from '@threadmill/client';
import { useMemo, useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

const NOTHING: readonly OutboxItem[] = [];
const nothing = () => NOTHING;

/** What waits, in the order of its making, and what can be done about it. */
export interface OutboxControl {
  readonly items: readonly OutboxItem[];
  /** Tries a failed item again. */
  retry(key: string): void;
  /** Gives an item up. */
  discard(key: string): void;
}

/** The items of one thread. The array is another one only if the thread's items are. */
function itemsOf(outbox: OutboxHandle, threadId: string | undefined): () => readonly OutboxItem[] {
  if (threadId === undefined) return outbox.getSnapshot;
  let last = NOTHING;
  return () => {
    const items = outbox.getSnapshot().filter(item => item.threadId === threadId);
    const same = items.length === last.length && items.every((item, at) => item === last[at]);
    if (!same) last = items;
    return last;
  };
}

/**
 * The writes of this browser that are not acknowledged: those of a thread, or all. Renders when one of them changes.
 *
 * @example
 * const { items, retry, discard } = useOutbox();
 * return items.filter(item => item.state === 'failed').map(item => (
 *   <p key={item.key}>
 *     {item.text}: {item.error?.message}
 *     <button onClick={() => retry(item.key)}>Retry</button>
 *     <button onClick={() => discard(item.key)}>Discard</button>
 *   </p>
 * ));
 */
export function useOutbox(threadId?: string): OutboxControl {
  const { outbox } = useClient();
  const read = useMemo(() => itemsOf(outbox, threadId), [outbox, threadId]);
  const items = useSyncExternalStore(outbox.subscribe, read, nothing);
  const acts = useMemo(
    () => ({
      retry: (key: string) => outbox.retry(key),
      discard: (key: string) => outbox.discard(key),
    }),
    [outbox],
  );
  return { items, ...acts };
}
