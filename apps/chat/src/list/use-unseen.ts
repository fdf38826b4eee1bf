//! Whether the reader is away from the end, and how many messages came since.

import { useCallback, useRef, useState } from 'react';
import type { ScrollKeeper } from './scroll-keeper';

/** What the jump button shows; `look` re-reads the scroll position. */
export interface Unseen {
  readonly away: boolean;
  readonly count: number;
  look(): void;
}

/** `look` renders only when what it finds differs. */
export function useUnseen(total: number, keeper: ScrollKeeper): Unseen {
  const [away, setAway] = useState(false);
  const now = useRef(total);
  now.current = total;
  // What was there when the thread opened is not news, wherever in it the reader lands.
  const seen = useRef<number>(undefined);
  if (seen.current === undefined && total > 0) seen.current = total;
  const look = useCallback(() => {
    const { below, viewport } = keeper.room();
    const far = !keeper.following && below > Math.min(160, viewport / 4);
    setAway(far);
    // Before there is anything to see, nothing was seen.
    if (!far && now.current > 0) seen.current = now.current;
  }, [keeper]);
  return { away, count: away ? Math.max(0, total - (seen.current ?? total)) : 0, look };
}
