//! How long a thread took from being opened to being shown, for whoever reports it.

import { measured } from '@threadmill/client';
import { useEffect, useRef, useState } from 'react';
import { parseRoute } from '../shell/address';

/** The thread that the page was opened with has been waited for since the page was asked for. */
let first = parseRoute(location.pathname, location.search).threadId !== undefined;

/** Tells once how long it took until `shown`. */
export function useLoadTime(shown: boolean): void {
  const [opened] = useState(() => (first ? 0 : performance.now()));
  const told = useRef(false);
  useEffect(() => {
    first = false;
    if (!shown || told.current) return;
    told.current = true;
    measured('load', performance.now() - opened);
  }, [shown, opened]);
}
