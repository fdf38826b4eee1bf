//! One quiet line over the messages while the server cannot be heard, or takes nothing. It covers nothing that is being
//! read and moves nothing.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { isConnected } from '../shell/connected';

export function OfflineLine({ loaded }: { loaded: boolean }) {
  const words = wordsFor(useSyncStatus({ smooth: true }), loaded);
  return (
    words && (
      <p className="offline-line" role="status">
        {words}
      </p>
    )
  );
}

function wordsFor(status: SyncStatus, loaded: boolean): string | undefined {
  if (!isConnected(status))
    return loaded
      ? 'Offline, showing what this browser has'
      : 'Offline. This thread is not kept here; it opens when the connection is back.';
  // A server without its cache is no news for a reader: everything works.
  if (status.mode === 'read-only') return 'The server takes no changes at the moment; yours wait here';
  return undefined;
}
