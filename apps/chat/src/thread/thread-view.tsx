//! An open thread: its messages and its composer. The composer lives beside the list, so typing renders no row.

import type { Row } from '@threadmill/client';
import { useClient, useMessages, useOutbox } from '@threadmill/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Guarded } from '../boundary';
import { Composer, type GiveBack } from '../composer/composer';
import { useProviders } from '../composer/providers';
import { ConfirmDialog } from '../confirm-dialog';
import { useOwnTitle } from '../page-title';
import { useReport } from '../reports';
import { LiveNews } from './live-news';
import { MessageList, useScrollKeeper } from './message-list';
import { OfflineLine } from './offline-line';
import { useTakeBack } from './take-back';
import { ThreadActionsProvider, threadActions } from './thread-actions';
import { ThreadProblem } from './thread-problem';
import { textOf } from './whole-parts';

export function ThreadView({ threadId, messageId }: { threadId: string; messageId: string | undefined }) {
  const client = useClient();
  const report = useReport();
  const keeper = useScrollKeeper(threadId);
  // Where the thread opens; later jumps are calls, so that the handle stays the same.
  const [first] = useState(messageId);
  const messages = useMessages(
    threadId,
    first === undefined ? undefined : { anchor: { at: 'message', id: first } },
  );
  useOwnTitle(messages.title);
  const [editing, setEditing] = useState<string>();
  const [removing, setRemoving] = useState<Row>();
  const { chosen } = useProviders();
  const provider = useRef(chosen);
  provider.current = chosen;

  const { handle } = messages;
  const { items } = useOutbox(threadId);
  const giveBack = useRef<GiveBack>(undefined);
  const takeBack = useTakeBack(items, handle, giveBack);
  const isShown = useIsShown();
  const actions = useMemo(
    () =>
      handle &&
      threadActions({
        client,
        handle,
        keeper,
        report,
        setEditing,
        askRemove: setRemoving,
        provider: () => provider.current,
        isShown,
      }),
    [client, handle, keeper, report, isShown],
  );
  useJump(messageId, first, messages, keeper, report);

  const latest = useRef(messages);
  latest.current = messages;
  const editLast = useCallback(() => {
    const last = latest.current.rows.findLast(row => row.role === 'user' && row.status === 'complete');
    if (last) setEditing(last.id);
  }, []);
  const onSent = useCallback(() => {
    keeper.follow();
    if (!latest.current.hasNewer) return;
    latest.current.jumpTo({ at: 'tip' }).then(() => keeper.follow(), report);
  }, [keeper, report]);

  if (messages.status === 'error' || messages.status === 'deleted') {
    return <ThreadProblem messages={messages} threadId={threadId} messageId={messageId} />;
  }
  return (
    <main className="thread" id="main">
      <OfflineLine loaded={messages.status === 'ready'} />
      {actions && handle ? (
        <ThreadActionsProvider value={actions}>
          <Guarded what="The messages">
            <MessageList messages={messages} handle={handle} keeper={keeper} editing={editing} />
          </Guarded>
        </ThreadActionsProvider>
      ) : (
        <div className="list" />
      )}
      <LiveNews run={messages.run} rows={messages.rows} items={items} />
      <Composer
        key={threadId}
        threadId={threadId}
        handle={handle}
        branch={messages.branch}
        giveBack={giveBack}
        onTakeBack={takeBack}
        onEditLast={editLast}
        onSent={onSent}
      />
      <ConfirmDialog
        open={removing !== undefined}
        title="Delete this message?"
        text={removing ? removing.parts.map(textOf).join(' ').slice(0, 160) : ''}
        action="Delete"
        onClose={() => setRemoving(undefined)}
        onConfirm={() => removing && actions?.remove(removing)}
      />
    </main>
  );
}

/** Whether the component is still mounted, for what ends later. */
function useIsShown(): () => boolean {
  const shown = useRef(false);
  useEffect(() => {
    shown.current = true;
    return () => {
      shown.current = false;
    };
  }, []);
  return useCallback(() => shown.current, []);
}

/** Goes to the message the address names, at first and whenever it changes. */
function useJump(
  messageId: string | undefined,
  first: string | undefined,
  messages: ReturnType<typeof useMessages>,
  keeper: ReturnType<typeof useScrollKeeper>,
  report: (error: unknown) => void,
): void {
  const { handle } = messages;
  const opened = useRef(false);
  useEffect(() => {
    if (!handle) return;
    const opening = !opened.current;
    opened.current = true;
    if (messageId === undefined) return;
    keeper.aimAt(messageId);
    if (opening && messageId === first) return;
    handle.jumpTo({ at: 'message', id: messageId }).catch(report);
  }, [handle, messageId, first, keeper, report]);
}
