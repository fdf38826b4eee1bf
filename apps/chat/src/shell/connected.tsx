//! Whether the server can be heard, for code and, as an attribute of the document, for styles.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { useEffect } from 'react';

/** False once a connection was lost or refused; true while the first one is being made. */
export function isConnected({ connection }: SyncStatus): boolean {
  return connection === 'live' || connection === 'connecting';
}

/** Marks the document while nothing arrives: what pulses to say "in progress" holds still then. */
export function ConnectionMark() {
  const connected = isConnected(useSyncStatus());
  useEffect(() => {
    document.documentElement.toggleAttribute('data-disconnected', !connected);
  }, [connected]);
  return null;
}
