//! The state of the connection and of what waits for it, in a few words and a dot.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { useState } from 'react';
import { OutboxPanel } from './outbox-panel';

const WORDS: Readonly<Record<SyncStatus['connection'], string>> = {
  connecting: 'Connecting',
  live: 'Connected',
  reconnecting: 'Reconnecting',
  offline: 'Offline',
  refused: 'Refused',
};

function waitingWords({ pending, failed }: SyncStatus): string {
  const words = [pending > 0 ? `${pending} waiting` : '', failed > 0 ? `${failed} failed` : ''];
  return words.filter(Boolean).join(', ');
}

export function ConnectionNote() {
  const status = useSyncStatus({ smooth: true });
  const { connection, error, failed } = status;
  const [open, setOpen] = useState(false);
  const waiting = waitingWords(status);
  return (
    <div className="connection" data-state={connection} title={error?.hint}>
      <span className="connection-dot" aria-hidden="true" />
      <span role="status">
        {WORDS[connection]}
        <span className="visually-hidden">{waiting && `, ${waiting}`}</span>
      </span>
      {waiting && (
        <button
          type="button"
          className="waiting"
          data-failed={failed > 0 || undefined}
          aria-haspopup="dialog"
          aria-label={`${waiting}: show the outbox`}
          onClick={() => setOpen(true)}
        >
          {waiting}
        </button>
      )}
      <OutboxPanel open={open} onClose={() => setOpen(false)} />
    </div>
  );
}
