//! The list of threads: rows of one height, so only those in view are on the page; the next page comes by scrolling.

import { defaultRangeExtractor, type Range, useVirtualizer, type Virtualizer } from '@tanstack/react-virtual';
import { type Threads, useSyncStatus } from '@threadmill/react';
import { type KeyboardEvent, useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react';
import { focusIsLost } from '../controls/focus';
import { noteOrder } from '../habits/trail';
import { isConnected } from '../shell/connected';
import { words } from '../shell/reports';
import { ThreadItem } from './thread-item';

const ROW = 60;
/** The next page is asked for when this many rows are left. */
const AHEAD = 12;

interface ThreadListProps {
  readonly list: Threads;
  readonly current: string | undefined;
  /** Whether these are all, or what the reader looks for. */
  readonly filtered: boolean;
  readonly now: number;
  onOpen(): void;
}

export function ThreadList({ list, current, filtered, now, onOpen }: ThreadListProps) {
  const { threads, hasMore, loadingMore, loadMore, status } = list;
  useEffect(() => {
    if (!filtered) noteOrder(threads.map(thread => thread.id));
  }, [threads, filtered]);
  const scroller = useRef<HTMLDivElement>(null);
  const stop = useTabStop(list, current, scroller);
  const virtual = useVirtualizer({
    count: threads.length,
    getScrollElement: () => scroller.current,
    estimateSize: () => ROW,
    getItemKey: index => threads[index]?.id ?? index,
    overscan: 8,
    rangeExtractor: stop.keepOnPage,
  });
  const items = virtual.getVirtualItems();
  const lastShown = virtual.range?.endIndex ?? 0;
  const shown = threads.findIndex(thread => thread.id === current);
  const reveal = useRef<string>(undefined);
  useEffect(() => {
    // Once for each thread that is opened, wherever from; afterwards the reader may scroll away.
    if (shown < 0 || reveal.current === current) return;
    reveal.current = current;
    // Scrolling lays the page out, even to where it is: not for nothing, while a thread opens.
    if (!isInView(virtual, shown)) virtual.scrollToIndex(shown, { align: 'auto' });
  }, [shown, current, virtual]);
  const onKeyDown = (event: KeyboardEvent) => {
    // Keys of the rename field and of a dialog come by here too.
    if (!(event.target instanceof HTMLAnchorElement)) return;
    const to = stepped(event.key, stop.index, threads.length);
    if (to === undefined || event.altKey || event.ctrlKey || event.metaKey) return;
    event.preventDefault();
    virtual.scrollToIndex(to, { align: 'auto' });
    stop.goTo(to);
  };
  useEffect(() => {
    if (hasMore && !loadingMore && lastShown >= threads.length - AHEAD) void loadMore();
  }, [hasMore, loadingMore, lastShown, threads.length, loadMore]);

  if (status === 'ready' && threads.length === 0 && !list.error)
    return <p className="thread-list-empty">No threads here.</p>;
  return (
    <>
      <ListTrouble list={list} />
      <nav className="thread-list" ref={scroller} aria-label="Threads" aria-describedby="thread-list-keys">
        <p id="thread-list-keys" hidden>
          Arrow keys move between threads, F2 renames one, Delete deletes it.
        </p>
        <ul
          style={{ height: virtual.getTotalSize() }}
          onKeyDown={onKeyDown}
          onFocus={event => stop.took(event.target)}
          onBlur={stop.left}
        >
          {items.map(item => {
            const thread = threads[item.index];
            if (!thread) return null;
            return (
              <li
                key={item.key}
                data-thread={thread.id}
                aria-posinset={item.index + 1}
                aria-setsize={hasMore ? -1 : threads.length}
                style={{ transform: `translateY(${item.start}px)`, height: ROW }}
              >
                <ThreadItem
                  thread={thread}
                  open={thread.id === current}
                  now={now}
                  tabStop={item.index === stop.index}
                  onOpen={onOpen}
                />
              </li>
            );
          })}
        </ul>
      </nav>
    </>
  );
}

/** Said over the threads while the server cannot read the list of them. What was loaded stays. */
function ListTrouble({ list: { error, threads, loadMore } }: { list: Threads }) {
  const connected = isConnected(useSyncStatus({ smooth: true }));
  if (!error || error.status < 500 || !connected) return null;
  return (
    <div className="trouble" role="alert">
      <span>
        The server could not read the list of threads{threads.length > 0 ? '; what was loaded is shown' : ''}.{' '}
        {words(error)}
      </span>
      <button type="button" className="text-button" onClick={() => void loadMore().catch(() => {})}>
        Retry
      </button>
    </div>
  );
}

/** Whether the row is in view whole, by what is known without asking the browser. */
function isInView(
  { scrollOffset, scrollRect }: Pick<Virtualizer<HTMLDivElement, Element>, 'scrollOffset' | 'scrollRect'>,
  index: number,
): boolean {
  const top = index * ROW - (scrollOffset ?? 0);
  return top >= 0 && top + ROW <= (scrollRect?.height ?? 0);
}

/** Where a key goes from `index`; nothing if the key is not one of the list's. */
function stepped(key: string, index: number, count: number): number | undefined {
  switch (key) {
    case 'ArrowDown':
      return Math.min(count - 1, index + 1);
    case 'ArrowUp':
      return Math.max(0, index - 1);
    case 'Home':
      return 0;
    case 'End':
      return count - 1;
    default:
      return undefined;
  }
}

/** The one thread the Tab key stops at. It stays on the page while the list scrolls, so that the focus does too. */
function useTabStop(
  { threads }: Threads,
  current: string | undefined,
  scroller: React.RefObject<HTMLElement | null>,
) {
  const [chosen, setChosen] = useState<string>();
  const find = (id: string | undefined) => threads.findIndex(thread => thread.id === id);
  const index = Math.max(0, find(chosen) >= 0 ? find(chosen) : find(current));
  /** A thread whose link takes the focus with the next commit that has it. */
  const wanted = useRef<string>(undefined);
  /** Where the focus is, while it is in the list. */
  const held = useRef<{ id: string; index: number }>(undefined);
  useLayoutEffect(() => {
    // The thread that had the focus was deleted: the one in its place takes it.
    if (held.current && find(held.current.id) < 0 && focusIsLost())
      wanted.current = threads[Math.min(held.current.index, threads.length - 1)]?.id;
    if (wanted.current === undefined) return;
    const item = scroller.current?.querySelector(`[data-thread="${CSS.escape(wanted.current)}"] a`);
    if (!(item instanceof HTMLElement)) return;
    wanted.current = undefined;
    item.focus({ preventScroll: true });
  });
  const keepOnPage = useCallback(
    (range: Range) => {
      const usual = defaultRangeExtractor(range);
      return index >= range.count || usual.includes(index) ? usual : [...usual, index].sort((a, b) => a - b);
    },
    [index],
  );
  return {
    index,
    keepOnPage,
    goTo: (to: number) => {
      wanted.current = threads[to]?.id;
      setChosen(wanted.current);
    },
    took: (element: HTMLElement) => {
      const id = element.closest<HTMLElement>('[data-thread]')?.dataset.thread;
      held.current = id === undefined ? undefined : { id, index: find(id) };
      setChosen(id);
    },
    left: (event: React.FocusEvent) => {
      if (event.relatedTarget !== null) held.current = undefined;
    },
  };
}
