//! `useThreadmillRuntime`: the hooks' threads, rows and run as assistant-ui's external store.

import {
  type AssistantRuntime,
  type ExternalStoreThreadListAdapter,
  type FeedbackAdapter,
  type ThreadMessage,
  useExternalStoreRuntime,
} from '@assistant-ui/react';
import { type Messages, useClient, useMessages, useRun, useThreads } from '@threadmill/react';
import { useCallback, useMemo, useRef, useState } from 'react';
import { pickedVersion, repositoryOf, showVersion, type Version } from './repository.js';
import { edit, type Open, reload, send } from './writes.js';
import { useWritten } from './written.js';

export interface ThreadmillRuntimeOptions {
  /** The thread that is open first; without it a new one, which is made by its first message. */
  readonly threadId?: string;
  /** Hears which thread is open, for an address; `undefined` for a new one. */
  readonly onThreadChange?: (threadId: string | undefined) => void;
  /** Whether a message asks the server for an answer; `false` where the app's own backend answers. The default is `true`. */
  readonly run?: boolean;
  /** Which of the server's providers answers; its first one if none is named. */
  readonly provider?: string;
}

/**
 * A runtime for `<AssistantRuntimeProvider>`, below a `<ThreadmillProvider>`: the list of threads, the messages of the open one
 * with their branches, older ones as they are asked for, and sending, editing, asking again, stopping, removing and judging.
 *
 * @example
 * function App() {
 *   const runtime = useThreadmillRuntime();
 *   return <AssistantRuntimeProvider runtime={runtime}><Thread /></AssistantRuntimeProvider>;
 * }
 */
export function useThreadmillRuntime(options: ThreadmillRuntimeOptions = {}): AssistantRuntime {
  const client = useClient();
  const [threadId, show] = useOpenThread(options);
  const messages = useMessages(threadId ?? 'skip');
  const run = useRun(messages.handle);
  const written = useWritten(messages.handle, run.messageId);
  const { rows, handle, branch, status, hasOlder, loadOlder } = messages;
  const wanted = useRef<Version>(undefined);
  const messageRepository = useMemo(() => repositoryOf(rows, written), [rows, written]);
  const open: Open = {
    client,
    threadId,
    handle,
    rows,
    branch,
    run: options.run ?? true,
    provider: options.provider,
  };
  return useExternalStoreRuntime<ThreadMessage>({
    messageRepository,
    isRunning: run.status !== 'idle',
    isLoading: threadId !== undefined && status === 'loading',
    hasEarlier: hasOlder,
    onLoadEarlier: async () => void (await loadOlder()),
    onNew: async message => {
      const into = await send(open, message);
      if (into !== threadId) show(into);
    },
    onEdit: message => edit(open, message),
    onReload: parentId => reload(open, parentId),
    onCancel: run.stop,
    onDelete: id => (threadId === undefined ? undefined : client.removeMessage(threadId, id)),
    setMessages: picked => {
      const version = pickedVersion(picked);
      if (!version || !handle) return;
      wanted.current = version;
      showVersion(handle, version, () => wanted.current === version).catch(() => {});
    },
    adapters: { threadList: useThreadList(threadId, show, messages), feedback: useFeedback(threadId) },
  });
}

/** Which thread is open, and what opens another one, or a new one. */
function useOpenThread({ threadId, onThreadChange }: ThreadmillRuntimeOptions) {
  const [open, setOpen] = useState(threadId);
  const show = useCallback(
    (next: string | undefined) => {
      setOpen(next);
      onThreadChange?.(next);
    },
    [onThreadChange],
  );
  return [open, show] as const;
}

function useThreadList(
  threadId: string | undefined,
  show: (threadId: string | undefined) => void,
  messages: Messages,
): ExternalStoreThreadListAdapter {
  const client = useClient();
  const { threads, status } = useThreads();
  const lists = useMemo(() => {
    const of = <S extends 'regular' | 'archived'>(state: S) =>
      threads
        .filter(({ archived }) => archived === (state === 'archived'))
        .map(({ id, title }) => ({ status: state, id, title }));
    return { threads: of('regular'), archivedThreads: of('archived') };
  }, [threads]);
  const known = threads.some(({ id }) => id === threadId);
  // A thread that is open and not in the pages of the list that are loaded is a thread all the same.
  const more = threadId === undefined || known ? [] : [{ id: threadId, title: messages.title }];
  return {
    ...(threadId !== undefined && { threadId }),
    isLoading: status === 'loading',
    threads: [...more.map(thread => ({ ...thread, status: 'regular' as const })), ...lists.threads],
    archivedThreads: lists.archivedThreads,
    onSwitchToNewThread: () => show(undefined),
    onSwitchToThread: show,
    onRename: (id, title) => client.renameThread(id, title),
    onArchive: id => client.archiveThread(id, true),
    onUnarchive: id => client.archiveThread(id, false),
    onDelete: async id => {
      if (id === threadId) show(undefined);
      await client.deleteThread(id);
    },
  };
}

function useFeedback(threadId: string | undefined): FeedbackAdapter {
  const client = useClient();
  return useMemo(
    () => ({
      submit: ({ message, type }) => {
        client.feedback({ kind: type === 'positive' ? 'up' : 'down' }, threadId, message.id).catch(() => {});
      },
    }),
    [client, threadId],
  );
}
