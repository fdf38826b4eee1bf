//! The list of messages: the loaded rows near the viewport, with space above and below for the others.
//!
//! Room `list`: the rows near the view, and the line being read, which stays where it is. It does not know what a row
//! shows.

import type { ThreadHandle } from '@threadmill/client';
import { type Messages, useClient } from '@threadmill/react';
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState } from 'react';
import { focusComposer } from '../controls/focus';
import { Icon } from '../controls/icon';
import { askOlder } from '../habits/trail';
import { MessageRow } from '../row/message-row';
import { isConnected } from '../shell/connected';
import { useReport } from '../shell/reports';
import { useAfterPaint } from '../turns/after-paint';
import { countListRender } from '../turns/counters';
import { useKeptSelection } from './kept-selection';
import { loadAhead, ScrollSpeed } from './load-ahead';
import { Retry } from './retry';
import { RowHeights } from './row-heights';
import { ScrollKeeper } from './scroll-keeper';
import { useUnseen } from './use-unseen';

const FLASH_MS = 1_600;
/** Milliseconds until a page is asked for again that the server could not read. */
const AGAIN = 3_000;

interface MessageListProps {
  readonly messages: Messages;
  readonly handle: ThreadHandle;
  readonly keeper: ScrollKeeper;
  readonly editing: string | undefined;
}

/** A keeper for one thread. */
export function useScrollKeeper(threadId: string): ScrollKeeper {
  // biome-ignore lint/correctness/useExhaustiveDependencies: another thread needs another keeper
  return useMemo(() => new ScrollKeeper(new RowHeights()), [threadId]);
}

export function MessageList({ messages, handle, keeper, editing }: MessageListProps) {
  countListRender();
  const client = useClient();
  const { rows } = messages;
  const ids = useMemo(() => rows.map(row => row.id), [rows]);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const scroller = useRef<HTMLDivElement>(null);
  const content = useRef<HTMLDivElement>(null);
  const painted = useAfterPaint(rows.length > 0);
  const [low, setLow] = useState(false);
  const range = keeper.rangeFor(ids, painted || low ? 'around' : 'in view');
  const unseen = useUnseen(messages.total, keeper);

  const latest = useRef(messages);
  latest.current = messages;
  const [speed] = useState(() => new ScrollSpeed());
  const tell = useFollowTeller(handle, keeper);
  const [retry] = useState(() => new Retry(AGAIN));
  const load = useCallback(
    (direction: 'up' | 'down') => {
      const { above, below, viewport, content: height } = keeper.room();
      const ahead = loadAhead({ viewport, content: height, speed: speed.at(performance.now()) });
      const now = latest.current;
      if (direction === 'up' && above < ahead && now.hasOlder && !now.loadingOlder) {
        askOlder(now.loadOlder()).catch(retryLater);
      }
      if (direction === 'down' && below < ahead && now.hasNewer && !now.loadingNewer)
        now.loadNewer().catch(retryLater);
      function retryLater(error: unknown) {
        // Without a connection the next scroll asks again; the connection note says what is wrong.
        if (isFault(error) && isConnected(client.status.getSnapshot())) retry.later(() => load(direction));
      }
    },
    [client, keeper, speed, retry],
  );
  useEffect(() => {
    retry.open();
    return () => retry.close();
  }, [retry]);
  const onScroll = useCallback(() => {
    const { direction, moved, needsRows } = keeper.scrolled(latest.current.hasNewer);
    if (needsRows) again();
    if (direction !== 'none') {
      speed.moved(moved, performance.now());
      load(direction);
    }
    unseen.look();
    tell();
  }, [keeper, speed, load, unseen.look, tell]);

  const observe = useRowObserver(keeper, scroller, content, unseen.look);
  useReleaseOnWheel(scroller, keeper, load);
  useDropOnPointer(keeper);
  useKeptSelection(content);

  useLayoutEffect(() => {
    keeper.heights.keepOnly(ids);
    const arrived = keeper.settle();
    // The rows are lower than was guessed: the others come before anybody sees that.
    if (!painted && !low && !keeper.covers()) setLow(true);
    if (arrived !== undefined) flash(keeper.rows.get(arrived));
    if (scroller.current) keeper.focused.settle(scroller.current, keeper.rows, ids);
    unseen.look();
    tell();
  });
  useEffect(() => {
    const { content: height, viewport } = keeper.room();
    if (rows.length > 0 && height <= viewport + 1) load('up');
  }, [keeper, rows, load]);

  const shown = rows.slice(range.start, range.end);
  // Whole pixels: a scroll offset has no others, and what it cannot express is a row that moves.
  const above = Math.round(keeper.heights.total(ids.slice(0, range.start)));
  const below = Math.round(keeper.heights.total(ids.slice(range.end)));
  return (
    <div className="list">
      <section
        className="scroller"
        ref={scroller}
        onScroll={onScroll}
        onFocus={event => keeper.focused.took(event.target)}
        // biome-ignore lint/a11y/noNoninteractiveTabindex: the keyboard must be able to scroll it
        tabIndex={0}
        aria-label="Messages"
      >
        <div className="column" ref={content}>
          <div className="list-edge" aria-hidden="true">
            {messages.hasOlder ? <span className="dots" /> : null}
          </div>
          <div style={{ height: above }} />
          {shown.map((row, index) => (
            <MessageRow
              key={row.id}
              row={row}
              handle={handle}
              observe={observe}
              last={range.start + index === rows.length - 1 && !messages.hasNewer}
              editing={editing === row.id}
            />
          ))}
          <div style={{ height: below }} />
          <div className="list-end" />
        </div>
      </section>
      <div className="jumps">
        <JumpButton messages={messages} keeper={keeper} unseen={unseen} />
        {unseen.away && messages.hasOlder && (
          <StartButton handle={handle} keeper={keeper} scroller={scroller} onArrived={again} />
        )}
      </div>
    </div>
  );
}

/** Tells the window whether to follow the tip; it evicts old rows only then. Returns a function that looks again. */
function useFollowTeller(handle: ThreadHandle, keeper: ScrollKeeper): () => void {
  const told = useRef<{ handle: ThreadHandle; follow: boolean }>(undefined);
  return useCallback(() => {
    const follow = keeper.following;
    if (told.current?.handle === handle && told.current.follow === follow) return;
    told.current = { handle, follow };
    handle.setFollow(follow);
  }, [handle, keeper]);
}

function JumpButton(props: {
  messages: Messages;
  keeper: ScrollKeeper;
  unseen: ReturnType<typeof useUnseen>;
}) {
  const { messages, keeper, unseen } = props;
  const jump = () => {
    keeper.follow();
    if (messages.hasNewer) messages.jumpTo({ at: 'tip' }).then(() => keeper.follow(), ignore);
    unseen.look();
    focusComposer();
  };
  const label = unseen.count > 0 ? `${unseen.count} new` : 'Latest';
  return (
    <button
      type="button"
      className="jump"
      data-shown={unseen.away}
      tabIndex={unseen.away ? 0 : -1}
      aria-hidden={!unseen.away}
      aria-label={unseen.count > 0 ? `Jump to latest, ${unseen.count} new` : 'Jump to latest'}
      onClick={jump}
    >
      <Icon name="down" />
      <span>{label}</span>
    </button>
  );
}

/** The way to the first message of a thread whose beginning is not loaded. */
function StartButton(props: {
  handle: ThreadHandle;
  keeper: ScrollKeeper;
  scroller: React.RefObject<HTMLElement | null>;
  onArrived(): void;
}) {
  const { handle, keeper, scroller, onArrived } = props;
  const report = useReport();
  const go = async () => {
    keeper.release();
    // The button goes with the jump; the arrow keys should scroll from where it leads.
    scroller.current?.focus({ preventScroll: true });
    await handle.jumpTo({ at: 'depth', depth: 0 });
    const first = handle.getSnapshot().rows[0];
    if (first) keeper.aimAt(first.id);
    onArrived();
  };
  return (
    <button type="button" className="jump-start" onClick={() => void go().catch(report)}>
      Go to start
    </button>
  );
}

/** Measures rows while they are on the page, and settles the list in the frame in which one changed its height. */
function useRowObserver(
  keeper: ScrollKeeper,
  scroller: React.RefObject<HTMLDivElement | null>,
  content: React.RefObject<HTMLDivElement | null>,
  changed: () => void,
) {
  const observer = useRef<ResizeObserver>(null);
  const width = useRef(0);
  useLayoutEffect(() => {
    if (!scroller.current || !content.current) return;
    keeper.attach(scroller.current, content.current);
    const sizes = new ResizeObserver(entries => {
      const now = content.current?.clientWidth ?? 0;
      if (now !== width.current) keeper.heights.clear();
      width.current = now;
      for (const { target } of entries) {
        const id = (target as HTMLElement).dataset.row;
        if (id) keeper.heights.set(id, target.getBoundingClientRect().height);
      }
      keeper.settle();
      changed();
    });
    observer.current = sizes;
    sizes.observe(scroller.current);
    for (const element of keeper.rows.values()) sizes.observe(element);
    return () => sizes.disconnect();
  }, [keeper, scroller, content, changed]);
  return useCallback(
    (element: HTMLElement | null) => {
      const id = element?.dataset.row;
      if (!element || !id) return;
      keeper.rows.set(id, element);
      observer.current?.observe(element);
      return () => {
        observer.current?.unobserve(element);
        if (keeper.rows.get(id) === element) keeper.rows.delete(id);
      };
    },
    [keeper],
  );
}

/** Pointing somewhere gives the focus up; what takes it then says so itself. */
function useDropOnPointer(keeper: ScrollKeeper) {
  useEffect(() => {
    const drop = () => keeper.focused.drop();
    window.addEventListener('pointerdown', drop, true);
    return () => window.removeEventListener('pointerdown', drop, true);
  }, [keeper]);
}

/** The wheel speaks before the scroll event does: the tail lets go before the next token could pull back. */
function useReleaseOnWheel(
  scroller: React.RefObject<HTMLDivElement | null>,
  keeper: ScrollKeeper,
  load: (direction: 'up' | 'down') => void,
) {
  useEffect(() => {
    const element = scroller.current;
    if (!element) return;
    const onWheel = (event: WheelEvent) => {
      const { above, below } = keeper.room();
      if (event.deltaY < 0 && above + below > 0) keeper.release();
      if (event.deltaY !== 0) load(event.deltaY < 0 ? 'up' : 'down');
    };
    element.addEventListener('wheel', onWheel, { passive: true });
    return () => element.removeEventListener('wheel', onWheel);
  }, [scroller, keeper, load]);
}

/** The server answers, and cannot read what it was asked for. */
function isFault(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'status' in error && Number(error.status) >= 500;
}

/** A jump that did not come is made again by the next click; the connection note says what is wrong. */
function ignore(): void {}

function flash(element: HTMLElement | undefined): void {
  element?.animate([{ backgroundColor: 'var(--flash)' }, { backgroundColor: 'transparent' }], {
    duration: FLASH_MS,
    easing: 'ease-out',
  });
}
