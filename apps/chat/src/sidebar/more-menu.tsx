//! What is seldom wanted, behind three dots.

import { useClient, useSyncStatus } from '@threadmill/react';
import { type FocusEvent, type KeyboardEvent, useRef, useState } from 'react';
import { ConfirmDialog } from '../confirm-dialog';
import { Icon } from '../icon';
import { useReport } from '../reports';
import { signOut } from './sign-out';

function lossWords(unsent: number): string {
  const kept = 'What this browser keeps is removed, in every tab: threads for offline use, and drafts.';
  if (unsent === 0) return `${kept} The server keeps what it has.`;
  const lost = unsent === 1 ? 'One change that was' : `${unsent} changes that were`;
  return `${kept} ${lost} not sent yet will be lost.`;
}

export function MoreMenu() {
  const client = useClient();
  const report = useReport();
  const { pending, failed } = useSyncStatus();
  const [state, setState] = useState<'closed' | 'open' | 'asking'>('closed');
  const button = useRef<HTMLButtonElement>(null);
  const close = () => setState('closed');
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || state !== 'open') return;
    // The key is used: it must not stop an answer too.
    event.preventDefault();
    event.stopPropagation();
    close();
    button.current?.focus();
  };
  const onBlur = (event: FocusEvent) => {
    if (state === 'open' && !event.currentTarget.contains(event.relatedTarget)) close();
  };
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears what its buttons leave to it
    <div className="more-menu" onKeyDown={onKeyDown} onBlur={onBlur}>
      <button
        ref={button}
        type="button"
        className="icon-button"
        aria-label="More"
        title="More"
        aria-haspopup="menu"
        aria-expanded={state === 'open'}
        onClick={() => setState(state === 'open' ? 'closed' : 'open')}
      >
        <Icon name="more" />
      </button>
      {state === 'open' && (
        <div className="menu" role="menu">
          <button
            type="button"
            role="menuitem"
            ref={item => item?.focus()}
            onClick={() => setState('asking')}
          >
            Sign out and forget
          </button>
        </div>
      )}
      <ConfirmDialog
        open={state === 'asking'}
        title="Sign out and forget?"
        text={lossWords(pending + failed)}
        action="Sign out"
        onClose={close}
        onConfirm={() => void signOut(client).catch(report)}
      />
    </div>
  );
}
