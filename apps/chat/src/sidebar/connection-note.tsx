//! The state of the connection and of what waits for it, in a few words and a dot.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { useState } from 'react';
import { OutboxPanel } from './outbox-panel';

const WORDS: ReadonlyMap<string, string> = new Map<SyncStatus['connection'], string>([
  ['connecting', 'Connecting'],
  ['live', 'Connected'],
  ['reconnecting', 'Reconnecting'],
  ['offline', 'Offline'],
  ['refused', 'Refused'],
]);

/** What a connection to a server is worth that lacks something, by the server's word for it. */
const LACKS: ReadonlyMap<string | undefined, { readonly words: string; readonly hint: string }> = new Map([
  [
    'degraded',
    {
      words: 'Connected, degraded',
      hint: "The server's cache is away. Everything works, perhaps slower.",
    },
  ],
  [
    'read-only',
    {
      words: 'Connected, read-only',
      hint: 'The server takes no changes. They wait in this browser.',
    },
  ],
]);

function waitingWords({ pending, failed }: SyncStatus): string {
  const words = [pending > 0 ? `${pending} waiting` : '', failed > 0 ? `${failed} failed` : ''];
  return words.filter(Boolean).join(', ');
}

export function ConnectionNote() {
  const status = useSyncStatus({ smooth: true });
  const { connection, error, failed, mode } = status;
  const lacks = connection === 'live' ? LACKS.get(mode) : undefined;
  const [open, setOpen] = useState(false);
  const waiting = waitingWords(status);
  return (
    <div className="connection" data-state={lacks ? mode : connection} title={lacks?.hint ?? error?.hint}>
      <span className="connection-dot" aria-hidden="true" />
      <span role="status">
        {lacks?.words ?? WORDS.get(connection)}
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
