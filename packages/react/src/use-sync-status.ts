//! How the client stands.

import type { SyncStatus } from '@threadmill/client';
import { useEffect, useState, useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

/** Milliseconds that a state lasts at least to be shown, where that is asked for. */
const SETTLED = 500;

/**
 * Whether the page is connected, which engine runs, and how many writes wait. With `smooth`, a state that does not
 * last half a second is not shown: for words on a page, which should not flicker.
 *
 * @example
 * const { connection, pending } = useSyncStatus({ smooth: true });
 * return connection === 'live' ? null : <p role="status">Offline, {pending} waiting</p>;
 */
export function useSyncStatus({ smooth = false } = {}): SyncStatus {
  const { status } = useClient();
  const now = useSyncExternalStore(status.subscribe, status.getSnapshot, status.getSnapshot);
  const [shown, setShown] = useState(now);
  useEffect(() => {
    if (!smooth || now === shown) return;
    const timer = setTimeout(() => setShown(now), SETTLED);
    return () => clearTimeout(timer);
  }, [smooth, now, shown]);
  return smooth ? shown : now;
}
