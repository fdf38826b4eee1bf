//! What is not as usual and needs no doing: said once, quietly, until it is dismissed.

import type { SyncStatus } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { useState } from 'react';
import { Icon } from '../controls/icon';

const ENGINE: Readonly<Record<NonNullable<SyncStatus['reason']> | 'asked', string>> = {
  flag_off:
    'Live sync is switched off on this server. Answers come in steps, and nothing is kept for offline use.',
  wasm_failed:
    'Live sync did not load in this browser. Answers come in steps, and nothing is kept for offline use.',
  asked: 'The direct engine is in use, as the address asks.',
};

const STORAGE = 'This browser stores nothing for this page: what is not sent is lost when the page closes.';

/** Each by a name that tells it from the others. */
function noticesOf({ engine, reason, storage }: SyncStatus): [string, string][] {
  const notices: [string, string][] = [];
  if (engine === 'direct') notices.push([`engine ${reason}`, ENGINE[reason ?? 'asked']]);
  if (storage === 'degraded') notices.push(['storage', STORAGE]);
  return notices;
}

export function Notices() {
  const status = useSyncStatus({ smooth: true });
  const [dismissed, setDismissed] = useState<readonly string[]>([]);
  const shown = noticesOf(status).filter(([name]) => !dismissed.includes(name));
  return (
    <div className="notices" role="status">
      {shown.map(([name, words]) => (
        <p key={name} data-notice={name}>
          <span>{words}</span>
          <button
            type="button"
            className="icon-button"
            aria-label="Dismiss"
            onClick={() => setDismissed([...dismissed, name])}
          >
            <Icon name="close" />
          </button>
        </p>
      ))}
    </div>
  );
}
