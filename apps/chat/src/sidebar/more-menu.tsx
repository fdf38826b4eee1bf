//! What is seldom wanted, behind three dots.

import { useClient, useSyncStatus } from '@threadmill/react';
import { type FocusEvent, type KeyboardEvent, useRef, useState } from 'react';
import { ConfirmDialog } from '../controls/confirm-dialog';
import { Icon } from '../controls/icon';
import { ProblemDialog } from '../controls/problem-dialog';
import { printThread } from '../print/command';
import { useReport } from '../shell/reports';
import { useRoute } from '../shell/route';
import { signOut } from './sign-out';

function lossWords(unsent: number): string {
  const kept = 'What this browser keeps is removed, in every tab: threads for offline use, and drafts.';
  if (unsent === 0) return `${kept} The server keeps what it has.`;
  const lost = unsent === 1 ? 'One change that was' : `${unsent} changes that were`;
  return `${kept} ${lost} not sent yet will be lost.`;
}

function MenuItem({ words, onChoose }: { words: string; onChoose: () => void }) {
  return (
    <button type="button" role="menuitem" onClick={onChoose}>
      {words}
    </button>
  );
}

function focusFirst(menu: HTMLElement | null): void {
  menu?.querySelector<HTMLElement>('[role="menuitem"]')?.focus();
}

function stepThrough(event: KeyboardEvent<HTMLElement>): void {
  const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
  if (step === 0) return;
  event.preventDefault();
  const items = [...event.currentTarget.querySelectorAll<HTMLElement>('[role="menuitem"]')];
  const at = items.indexOf(document.activeElement as HTMLElement);
  items[(at + step + items.length) % items.length]?.focus();
}

export function MoreMenu() {
  const { threadId } = useRoute();
  const client = useClient();
  const report = useReport();
  const { pending, failed } = useSyncStatus();
  const [state, setState] = useState<'closed' | 'open' | 'asking' | 'reporting'>('closed');
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
        <div className="menu" role="menu" ref={focusFirst} onKeyDown={stepThrough}>
          {threadId !== undefined && (
            <MenuItem
              words="Print thread"
              onChoose={() => {
                close();
                button.current?.focus();
                printThread();
              }}
            />
          )}
          <MenuItem words="Report a problem" onChoose={() => setState('reporting')} />
          <MenuItem words="Sign out and forget" onChoose={() => setState('asking')} />
        </div>
      )}
      <ProblemDialog
        open={state === 'reporting'}
        onClose={close}
        onSend={text =>
          client.feedback({ kind: 'problem', ...(text === undefined ? {} : { text, consent: true }) })
        }
      />
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
