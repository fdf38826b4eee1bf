//! The run of a thread: whether an answer is being written, and how to stop it or ask again.

import type { OutboxItem, ThreadHandle, ThreadSnapshot } from '@threadmill/client';
import { useCallback, useEffect, useRef, useState } from 'react';
import { useClient } from './provider.js';
import { useThreadHandle, useThreadSnapshot } from './thread-handle.js';
import { useOutbox } from './use-outbox.js';

/** What the run does, and the two things a reader may want of it. */
export interface RunControl {
  /** `submitted`: asked for, and not started yet as far as this browser knows. */
  readonly status: 'idle' | 'submitted' | 'live' | 'stopping';
  /** The message being written. */
  readonly messageId: string | undefined;
  /** What asks for the answer, while it waits in the outbox: the newest, if several do. */
  readonly unsent: OutboxItem | undefined;
  /** Stops the answer. One that was not asked for yet is not asked for: what would have is given up. */
  stop(): Promise<void>;
  /** Asks for another answer in place of `messageId`; it lands on a new branch, which is returned. */
  regenerate(
    messageId: string,
    options?: { branch?: string; provider?: string },
  ): Promise<{ runId: string; messageId: string; branch: string }>;
}

/**
 * The run of a thread, if any. `thread` is an id, the `handle` of `useMessages` (needed when a branch is open that is
 * not the default; nothing is known until it is there), or `'skip'`.
 *
 * @example
 * const { status, stop } = useRun(threadId);
 * return status === 'idle' ? null : <button onClick={() => void stop()}>Stop</button>;
 */
export function useRun(thread: string | ThreadHandle | undefined): RunControl {
  const client = useClient();
  const own = useThreadHandle(typeof thread === 'string' ? thread : 'skip');
  const snapshot = useThreadSnapshot(typeof thread === 'string' ? own : thread);
  const threadId = typeof thread === 'string' ? thread : (thread?.threadId ?? 'skip');
  const { items } = useOutbox(threadId);
  const { run } = snapshot;
  const unsent = items.findLast(item => item.kind !== 'stop' && item.runId && item.state !== 'failed');
  const submitted = useEcho(unsent, snapshot.rows) || unsent !== undefined;
  const runId = run?.id ?? unsent?.runId;
  const stopping = items.some(item => item.kind === 'stop' && item.runId === runId);
  const giveUp = useGiveUp(items);
  const stop = useCallback(async () => {
    if (!run && unsent) giveUp(unsent);
    // What is not on its way needs no stop: it does not go.
    const goes = run || unsent?.state === 'sending';
    if (goes && runId !== undefined) await client.stop(runId).catch(unlessGivenUp);
  }, [client, run, runId, unsent, giveUp]);
  const regenerate = useCallback(
    (messageId: string, options?: { branch?: string; provider?: string }) =>
      client.regenerate(threadId, messageId, options),
    [client, threadId],
  );
  const status = stopping ? 'stopping' : (run?.status ?? (submitted ? 'submitted' : 'idle'));
  return { status, messageId: run?.message, unsent, stop, regenerate };
}

/** A stop that became needless is no failure. */
function unlessGivenUp(error: unknown): void {
  if (!(error instanceof Error && 'code' in error && error.code === 'discarded')) throw error;
}

/** Whether the server has what asked for the answer, and the log has not brought it, and the run with it, yet. */
function useEcho(unsent: OutboxItem | undefined, rows: ThreadSnapshot['rows']): boolean {
  const asked = useRef<string>(undefined);
  if (unsent) asked.current = unsent.messageId;
  // A row without a revision is one that only this browser knows of.
  return rows.some(row => row.rev === 0 && row.id === asked.current && !row.outbox);
}

/** Gives up what asks for an answer: now, or when a try that is under way has come to nothing. */
function useGiveUp(items: readonly OutboxItem[]): (item: OutboxItem) => void {
  const { outbox } = useClient();
  const [given, setGiven] = useState<OutboxItem>();
  useEffect(() => {
    const item = items.find(({ key }) => key === given?.key);
    if (!item) return setGiven(undefined);
    if (item.state !== 'pending') return;
    // The stop first: it waits for nothing else, and there will be nothing to stop.
    for (const { kind, runId, key } of items)
      if (kind === 'stop' && runId === item.runId) outbox.discard(key);
    outbox.discard(item.key);
  }, [outbox, items, given]);
  return setGiven;
}
