//! The state of the connection.

import type { SyncStatus } from '@threadmill/client';
import { useSyncExternalStore } from 'react';
import { useClient } from './provider.js';

/**
 * Whether the page is connected.
 *
 * @example
 * const { connection } = useSyncStatus();
 * return connection === 'live' ? null : <p role="status">Reconnecting</p>;
 */
export function useSyncStatus(): SyncStatus {
  const { status } = useClient();
  return useSyncExternalStore(status.subscribe, status.getSnapshot, status.getSnapshot);
}
