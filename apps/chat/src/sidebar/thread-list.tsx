//! The list of threads: rows of one height, so only those in view are on the page; the next page comes by scrolling.

import { useVirtualizer } from '@tanstack/react-virtual';
import type { Threads } from '@threadmill/react';
import { useEffect, useRef } from 'react';
import { ThreadItem } from './thread-item';

const ROW = 60;
/** The next page is asked for when this many rows are left. */
const AHEAD = 12;

interface ThreadListProps {
  readonly list: Threads;
  readonly current: string | undefined;
  readonly now: number;
  onOpen(): void;
}

export function ThreadList({ list, current, now, onOpen }: ThreadListProps) {
  const { threads, hasMore, loadingMore, loadMore, status } = list;
  const scroller = useRef<HTMLDivElement>(null);
  const virtual = useVirtualizer({
    count: threads.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    getItemKey: index => threads[index]?.id ?? index,
    overscan: 8,
  });
  const items = virtual.getVirtualItems();
  const lastShown = items[items.length - 1]?.index ?? 0;
  useEffect(() => {
    if (hasMore && !loadingMore && lastShown >= threads.length - AHEAD) void loadMore();
  }, [hasMore, loadingMore, lastShown, threads.length, loadMore]);

  if (status === 'ready' && threads.length === 0)
    return <p className="thread-list-empty">No threads here.</p>;
  return (
    <nav className="thread-list" ref={scroller} aria-label="Threads">
      <ul style={{ height: virtual.getTotalSize() }}>
        {items.map(item => {
          const thread = threads[item.index];
          if (!thread) return null;
          return (
            <li key={item.key} style={{ transform: `translateY(${item.start}px)`, height: ROW }}>
              <ThreadItem thread={thread} open={thread.id === current} now={now} onOpen={onOpen} />
            </li>
          );
        })}
      </ul>
    </nav>
  );
}
