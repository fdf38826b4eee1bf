//! What the server does not have yet, and what can be done about it.

import type { OutboxItem } from '@threadmill/client';
import { useOutbox, useSyncStatus } from '@threadmill/react';
import { useEffect, useRef } from 'react';
import { CopyButton } from '../controls/copy-button';
import { failureWords, isWorthRetrying, pendingWords, whatOf } from '../row/row-outbox';
import { threadPath } from '../shell/address';
import { isConnected } from '../shell/connected';
import { navigate } from '../shell/route';

/** Letters that tell a write from the others. */
const GLANCE = 300;

export function OutboxPanel({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    // biome-ignore lint/a11y/useKeyWithClickEvents: Escape closes a dialog by itself
    <dialog
      className="dialog outbox-panel"
      ref={dialog}
      onClose={onClose}
      aria-label="Not sent yet"
      onClick={event => event.target === dialog.current && onClose()}
    >
      {open && <Items onClose={onClose} />}
    </dialog>
  );
}

function Items({ onClose }: { onClose: () => void }) {
  const { items, retry, discard } = useOutbox();
  const connected = isConnected(useSyncStatus({ smooth: true }));
  const go = (item: OutboxItem) => {
    navigate(threadPath(item.threadId, item.kind === 'create' ? undefined : item.messageId));
    onClose();
  };
  return (
    <div className="outbox-inside">
      <h2>Not sent yet</h2>
      {items.length === 0 && <p>Everything is sent.</p>}
      <ul>
        {items.map(item => (
          <li key={item.key} data-state={item.state}>
            <button type="button" className="outbox-what" onClick={() => go(item)}>
              {item.text ? `${whatOf(item)}: ${item.text.slice(0, GLANCE)}` : whatOf(item)}
            </button>
            <p>{item.state === 'failed' ? failureWords(item) : pendingWords(item, connected)}</p>
            <div className="outbox-acts">
              {item.state === 'failed' && isWorthRetrying(item) && (
                <button type="button" className="text-button" onClick={() => retry(item.key)}>
                  Retry
                </button>
              )}
              {item.text && <CopyButton text={item.text} label="Copy the text" />}
              <button
                type="button"
                className="text-button"
                disabled={item.state === 'sending'}
                onClick={() => discard(item.key)}
              >
                Discard
              </button>
            </div>
          </li>
        ))}
      </ul>
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose}>
          Close
        </button>
      </div>
    </div>
  );
}
