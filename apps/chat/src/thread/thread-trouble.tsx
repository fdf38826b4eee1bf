//! Said over the messages while the server cannot read them: it answers, and what it answers is a fault of its own. What
//! was loaded stays.

import type { Anchor } from '@threadmill/client';
import { type Messages, useSyncStatus } from '@threadmill/react';
import { isConnected } from '../shell/connected';
import { words } from '../shell/reports';

export function ThreadTrouble({ messages, anchor }: { messages: Messages; anchor: Anchor | undefined }) {
  const connected = isConnected(useSyncStatus({ smooth: true }));
  const { error, rows, source, hasOlder, jumpTo, loadOlder, loadNewer } = messages;
  if (!error || !connected) return null;
  /** The window, or what lies beyond it if it is there. It is asked for without the button too, later. */
  const again = () => {
    if (rows.length === 0 || source === 'cache') return jumpTo(anchor ?? { at: 'tip' });
    return hasOlder ? loadOlder() : loadNewer();
  };
  const retry = () => void again().catch(() => {});
  return (
    <div className="trouble" role="alert">
      <span>
        The server could not read this thread{rows.length > 0 ? '; what was loaded is shown' : ''}.{' '}
        {words(error)}
      </span>
      <button type="button" className="text-button" onClick={retry}>
        Retry
      </button>
    </div>
  );
}
