//! A message that was not sent can be taken back: it goes from the list, and its words return to the composer.

import type { OutboxItem, ThreadHandle } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { type RefObject, useEffect, useState } from 'react';
import type { GiveBack } from '../composer/composer';
import { NEW } from '../composer/start-view';
import { navigate } from '../shell/route';

/**
 * The function that notes a message as taken back. Its words return once it has left the outbox unsent: it may have
 * been on its way already, and then it stays where it is.
 */
export function useTakeBack(
  items: readonly OutboxItem[],
  handle: ThreadHandle | undefined,
  giveBack: RefObject<GiveBack | undefined>,
): (item: OutboxItem) => void {
  const { drafts } = useClient();
  const [taken, setTaken] = useState<OutboxItem>();
  useEffect(() => {
    if (!taken || items.some(item => item.key === taken.key)) return;
    setTaken(undefined);
    if (wasSent(taken, handle)) return;
    // The words of an edit too, rather than lose them.
    if (taken.kind !== 'create') return taken.text ? giveBack.current?.(taken.text) : undefined;
    // With its first message the thread is gone too. What is typed for a new one stays behind it.
    drafts.set(NEW, [taken.text, drafts.get(NEW)].filter(Boolean).join('\n\n'));
    navigate('/');
  }, [taken, items, handle, drafts, giveBack]);
  return setTaken;
}

/** Whether it had left when it was taken back. An edit's message is there either way: it had, if it was on its way. */
function wasSent({ kind, state, messageId }: OutboxItem, handle: ThreadHandle | undefined): boolean {
  if (kind === 'edit') return state === 'sending';
  return handle?.getSnapshot().rows.some(row => row.id === messageId) ?? false;
}
