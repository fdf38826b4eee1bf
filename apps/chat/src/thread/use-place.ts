//! Remembers where the reader is in the open thread, for the next time it opens.

import type { Messages } from '@threadmill/react';
import { useEffect, useLayoutEffect, useRef } from 'react';
import type { ScrollKeeper } from '../list/scroll-keeper';
import { notePlace } from '../shell/places';

/** Milliseconds between two looks at where the view is: often enough for whoever reloads in mid-scroll. */
const PACE = 250;

/** Keeps the branch and the spot of the thread that is shown. */
export function usePlace(threadId: string, messages: Messages, keeper: ScrollKeeper): void {
  const { branch, defaultBranch, status, source } = messages;
  const live = status === 'ready' && source === 'live';
  useEffect(() => {
    if (!live || branch === undefined || defaultBranch === undefined) return;
    // The branch that opens by itself is followed wherever it moves.
    notePlace(threadId, { branch: branch === defaultBranch ? undefined : branch });
  }, [threadId, live, branch, defaultBranch]);
  const latest = useRef(false);
  latest.current = live;
  // A layout effect: when it ends, the rows are still on the page.
  useLayoutEffect(() => {
    const look = () => {
      // Before the view has come to where it opens, there is nothing to remember.
      if (!latest.current || keeper.rows.size === 0 || keeper.aiming) return;
      notePlace(threadId, { spot: keeper.following ? undefined : keeper.spot() });
    };
    const timer = setInterval(look, PACE);
    window.addEventListener('pagehide', look);
    return () => {
      look();
      clearInterval(timer);
      window.removeEventListener('pagehide', look);
    };
  }, [threadId, keeper]);
}
