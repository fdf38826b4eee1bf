//! The run of a thread: whether an answer is being written, and how to stop it or ask again.

import { useCallback } from 'react';
import { useClient } from './provider.js';
import { useThreadHandle, useThreadSnapshot } from './thread-handle.js';

/** What the run does, and the two things a reader may want of it. */
export interface RunControl {
  readonly status: 'idle' | 'live' | 'stopping';
  /** The message being written. */
  readonly messageId: string | undefined;
  stop(): Promise<void>;
  /** Asks for another answer in place of `messageId`; it lands on a new branch, which is returned. */
  regenerate(
    messageId: string,
    options?: { branch?: string; provider?: string },
  ): Promise<{ runId: string; messageId: string; branch: string }>;
}

/**
 * The live run of a thread, if any.
 *
 * @example
 * const { status, stop } = useRun(threadId);
 * return status === 'live' && <button onClick={stop}>Stop</button>;
 */
export function useRun(threadId: string): RunControl {
  const client = useClient();
  const { run } = useThreadSnapshot(useThreadHandle(threadId));
  const runId = run?.id;
  const stop = useCallback(async () => {
    if (runId !== undefined) await client.stop(runId);
  }, [client, runId]);
  const regenerate = useCallback(
    (messageId: string, options?: { branch?: string; provider?: string }) =>
      client.regenerate(threadId, messageId, options),
    [client, threadId],
  );
  return { status: run?.status ?? 'idle', messageId: run?.message, stop, regenerate };
}
