//! Which of the messages with an edit on them are gone. What is not among the loaded rows may only not be loaded: the server
//! is asked, once each time a message leaves the rows.

import type { Client, OutboxItem } from '@threadmill/client';
import { type Messages, useClient, useSyncStatus } from '@threadmill/react';
import { useEffect, useState } from 'react';
import type { EditDrafts } from '../parts/edit-drafts';
import { isConnected } from '../shell/connected';

const NONE: readonly string[] = [];

/** The messages of a thread that somebody has edited and that are there no more. At most one request for each. */
export function useGone(
  threadId: string,
  edits: EditDrafts,
  items: readonly OutboxItem[],
  { rows, status, source }: Messages,
): readonly string[] {
  const client = useClient();
  const connected = isConnected(useSyncStatus({ smooth: true }));
  const [gone, setGone] = useState(NONE);
  const [asked] = useState(() => new Set<string>());
  const edited = editedOf(edits, items);
  const away = edited.filter(id => !rows.some(row => row.id === id && row.status !== 'removed'));
  const live = connected && status === 'ready' && source !== 'cache';
  const names = live ? away.join(' ') : '';
  useEffect(() => {
    const now = names === '' ? NONE : names.split(' ');
    for (const id of asked) if (!now.includes(id)) asked.delete(id);
    for (const id of now) {
      if (asked.has(id)) continue;
      asked.add(id);
      isGone(client, threadId, id).then(
        is => is && setGone(known => [...known.filter(other => other !== id), id]),
        () => asked.delete(id),
      );
    }
  }, [client, threadId, names, asked]);
  return gone.length === 0 ? NONE : gone.filter(id => away.includes(id));
}

function editedOf(edits: EditDrafts, items: readonly OutboxItem[]): readonly string[] {
  const refused = items.flatMap(({ kind, state, messageId }) =>
    kind === 'edit' && state === 'failed' && messageId !== undefined ? [messageId] : [],
  );
  return [...new Set([...refused, ...edits.all()])];
}

/** Rejects if the server does not say. */
async function isGone(client: Client, threadId: string, messageId: string): Promise<boolean> {
  try {
    return (await client.whole(threadId, messageId)).status === 'removed';
  } catch (error) {
    const { status } = error as { status?: unknown };
    if (status === 404 || status === 410) return true;
    throw error;
  }
}
