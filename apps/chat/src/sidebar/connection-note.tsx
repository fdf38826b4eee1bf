//! The state of the connection, in a word and a dot.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';

const WORDS: Readonly<Record<SyncStatus['connection'], string>> = {
  connecting: 'Connecting',
  live: 'Connected',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
  refused: 'Refused',
};

export function ConnectionNote() {
  const { connection, error } = useSyncStatus();
  return (
    <p className="connection" data-state={connection} role="status" title={error?.hint}>
      <span className="connection-dot" aria-hidden="true" />
      {WORDS[connection]}
    </p>
  );
}
