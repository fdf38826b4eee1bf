//! Takes note of how the open thread is read: how it was come to, how long it took to be shown, how far up it was seen; and
//! has fetched ahead what is likely to come next.

import { type Messages, useClient } from '@threadmill/react';
import { useEffect, useLayoutEffect, useRef, useState } from 'react';
import { lookAhead, wantsOlder } from '../habits/prefetcher';
import { enter, leave, see } from '../habits/trail';
import type { ScrollKeeper } from '../list/scroll-keeper';

/** Milliseconds between two looks. */
const PACE = 250;

/** Once a thread; the view of another thread is another component. */
export function useReading(threadId: string, messages: Messages, keeper: ScrollKeeper): void {
  const client = useClient();
  const { status, loadOlder } = messages;
  const [opened] = useState(() => performance.now());
  const shown = useRef<(ms: number) => void>(undefined);
  useEffect(() => {
    shown.current = enter(threadId);
    window.addEventListener('pagehide', leave, true);
    return () => {
      window.removeEventListener('pagehide', leave, true);
      leave();
    };
  }, [threadId]);
  useEffect(() => {
    if (status !== 'ready') return;
    shown.current?.(performance.now() - opened);
    shown.current = undefined;
    // A reader who as a rule goes up finds the next page there.
    if (wantsOlder()) loadOlder().catch(() => {});
    return lookAhead(client, threadId);
  }, [status, opened, client, threadId, loadOlder]);
  const latest = useRef(messages);
  latest.current = messages;
  // A layout effect: when it ends, the rows are still on the page.
  useLayoutEffect(() => {
    const look = () => {
      const { rows, total, status } = latest.current;
      if (status !== 'ready' || keeper.aiming || document.visibilityState === 'hidden') return;
      const id = keeper.spot()?.message;
      const row = id === undefined ? undefined : rows.find(row => row.id === id);
      if (row) see(row.depth, Math.max(total, row.depth + 1));
    };
    const timer = setInterval(look, PACE);
    window.addEventListener('pagehide', look, true);
    return () => {
      look();
      clearInterval(timer);
      window.removeEventListener('pagehide', look, true);
    };
  }, [keeper]);
}
