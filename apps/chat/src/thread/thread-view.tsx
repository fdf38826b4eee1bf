//! An open thread: its messages and its composer. The composer lives beside the list, so typing renders no row.
//!
//! Room `thread`: one open thread: the list and the composer put together. It knows nothing of the other threads.

import type { Row } from '@threadmill/client';
import { useClient, useMessages, useOutbox } from '@threadmill/react';
import { useCallback, useEffect, useMemo, useRef, useState } from 'react';
import { Composer, type GiveBack } from '../composer/composer';
import { useProviders } from '../composer/providers';
import { ConfirmDialog } from '../controls/confirm-dialog';
import { MessageList, useScrollKeeper } from '../list/message-list';
import { ThreadActionsProvider, threadActions } from '../parts/thread-actions';
import { glance } from '../parts/whole-texts';
import { PrintView } from '../print/print-view';
import { Guarded } from '../shell/boundary';
import { useOwnTitle } from '../shell/page-title';
import { forgetPlace, type Opening, openingOf } from '../shell/places';
import { useReport } from '../shell/reports';
import { WordsOfMessages } from './left-words';
import { LiveNews } from './live-news';
import { OfflineLine } from './offline-line';
import { useTakeBack } from './take-back';
import { ThreadProblem } from './thread-problem';
import { ThreadTrouble } from './thread-trouble';
import { useEditing } from './use-editing';
import { useLoadTime } from './use-load-time';
import { usePlace } from './use-place';
import { useReading } from './use-reading';

export function ThreadView({ threadId, messageId }: { threadId: string; messageId: string | undefined }) {
  const client = useClient();
  const report = useReport();
  const keeper = useScrollKeeper(threadId);
  // Where the thread opens; later jumps are calls, so that the handle stays the same.
  const [opening, setOpening] = useState(() => openingOf(threadId, messageId));
  const { top, ...at } = opening;
  const messages = useMessages(threadId, at);
  useOwnTitle(messages.title);
  usePlace(threadId, messages, keeper);
  useLoadTime(messages.status === 'ready');
  useReading(threadId, messages, keeper);
  const { edits, editing, setEditing, reopen, takeFocus } = useEditing(threadId);
  const [removing, setRemoving] = useState<Row>();
  const { chosen } = useProviders();
  const provider = useRef(chosen);
  provider.current = chosen;

  const { handle } = messages;
  const { items } = useOutbox(threadId);
  const giveBack = useRef<GiveBack>(undefined);
  const takeBack = useTakeBack(items, handle, giveBack);
  const mending = useRef<(row: Row) => void>(() => {});
  mending.current = row => {
    const { outbox } = row;
    if (outbox?.kind === 'edit') return setEditing(row.id);
    if (!outbox) return;
    takeBack(outbox);
    client.outbox.discard(outbox.key);
  };
  const isShown = useIsShown();
  const actions = useMemo(
    () =>
      handle &&
      threadActions({
        client,
        handle,
        keeper,
        report,
        edits,
        setEditing,
        takeFocus,
        reopen,
        askRemove: setRemoving,
        mend: row => mending.current(row),
        provider: () => provider.current,
        isShown,
      }),
    [client, handle, keeper, report, edits, setEditing, takeFocus, reopen, isShown],
  );
  useJump(messageId, opening, messages, keeper, report);

  const latest = useRef(messages);
  latest.current = messages;
  const editLast = useCallback(() => {
    const last = latest.current.rows.findLast(row => row.role === 'user' && row.status === 'complete');
    // While an edit of it is on its way, what the message will say is not settled.
    const settled = last?.outbox?.kind !== 'edit' || last.outbox.state === 'failed';
    if (last && settled && last.parts.some(part => part.type === 'text')) setEditing(last.id);
  }, [setEditing]);
  const onSent = useCallback(() => {
    keeper.follow();
    if (!latest.current.hasNewer) return;
    latest.current.jumpTo({ at: 'tip' }).then(() => keeper.follow(), report);
  }, [keeper, report]);

  const isPlace = messageId === undefined && (opening.anchor ?? opening.branch) !== undefined;
  const { status = 0 } = messages.error ?? {};
  const lost = messages.status === 'error' && (status === 400 || status === 404) && isPlace;
  useEffect(() => {
    if (!lost) return;
    // The message or the branch is gone, or was none ever; the thread need not be: it opens as if it were new.
    forgetPlace(threadId);
    keeper.follow();
    setOpening({});
  }, [lost, threadId, keeper]);

  if ((messages.status === 'error' && !lost) || messages.status === 'deleted') {
    return <ThreadProblem messages={messages} threadId={threadId} messageId={messageId} />;
  }
  return (
    <main className="thread" id="main" tabIndex={-1}>
      <h2 className="visually-hidden">Messages</h2>
      <OfflineLine loaded={messages.status === 'ready'} />
      <ThreadTrouble messages={messages} anchor={opening.anchor} />
      {actions && handle ? (
        <ThreadActionsProvider value={actions}>
          <Guarded what="The messages">
            <MessageList messages={messages} handle={handle} keeper={keeper} editing={editing} />
          </Guarded>
        </ThreadActionsProvider>
      ) : (
        <div className="list" />
      )}
      <PrintView threadId={threadId} messages={messages} />
      <LiveNews run={messages.run} rows={messages.rows} items={items} />
      <WordsOfMessages
        messages={messages}
        threadId={threadId}
        edits={edits}
        items={items}
        onDiscard={id => editing === id && setEditing(undefined)}
      />
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
        text={removing ? glance(removing) : ''}
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

/** Goes to where the thread opens, and to the message that the address names whenever that changes. */
function useJump(
  messageId: string | undefined,
  opening: Opening,
  messages: ReturnType<typeof useMessages>,
  keeper: ReturnType<typeof useScrollKeeper>,
  report: (error: unknown) => void,
): void {
  const { handle } = messages;
  const opened = useRef<typeof handle>(undefined);
  const named = useRef(messageId);
  useEffect(() => {
    if (!handle) return;
    const { anchor, top } = opening;
    if (opened.current !== handle) {
      opened.current = handle;
      if (anchor) keeper.aimAt(anchor.id, top);
    } else if (named.current !== messageId && messageId !== undefined) {
      keeper.aimAt(messageId);
      handle.jumpTo({ at: 'message', id: messageId }).catch(report);
    }
    named.current = messageId;
  }, [handle, messageId, opening, keeper, report]);
}
