//! One quiet line over the messages while the server cannot be heard. It covers nothing that is being read and moves
//! nothing.

import { useSyncStatus } from '@threadmill/react';
import { isConnected } from '../connected';

export function OfflineLine({ loaded }: { loaded: boolean }) {
  const connected = isConnected(useSyncStatus({ smooth: true }));
  if (connected) return null;
  return (
    <p className="offline-line" role="status">
      {loaded
        ? 'Offline, showing what this browser has'
        : 'Offline. This thread is not kept here; it opens when the connection is back.'}
    </p>
  );
}
