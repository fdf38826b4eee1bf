//! Sending a message.

import type { ProblemError } from '@threadmill/client';
import { useCallback, useState } from 'react';
import { useClient } from './provider.js';

/** A message to send. `run` asks for an answer; without it there is none. */
export type SendInput = Parameters<ReturnType<typeof useClient>['send']>[1];

/** Sends, and says how the last send went. */
export interface SendControl {
  send(input: SendInput): Promise<{ messageId: string; runId?: string }>;
  readonly sending: boolean;
  /** Why the last send was refused; cleared by the next. */
  readonly error: ProblemError | Error | undefined;
}

/**
 * Sends messages to a thread. The promise settles when the server has the message on disk.
 *
 * @example
 * const { send, sending } = useSend(threadId);
 * await send({ text: 'Hello', run: true });
 */
export function useSend(threadId: string): SendControl {
  const client = useClient();
  const [state, setState] = useState<{ sending: boolean; error?: Error }>({ sending: false });
  const send = useCallback(
    async (input: SendInput) => {
      setState({ sending: true });
      try {
        const sent = await client.send(threadId, input);
        setState({ sending: false });
        return sent;
      } catch (error) {
        setState({ sending: false, error: error instanceof Error ? error : new Error(String(error)) });
        throw error;
      }
    },
    [client, threadId],
  );
  return { send, sending: state.sending, error: state.error };
}
