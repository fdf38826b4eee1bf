//! Sending a message.

import type { ProblemError, SendInput } from '@threadmill/client';
import { useCallback, useState } from 'react';
import { useClient } from './provider.js';
import { useDraft } from './use-draft.js';

export type { SendInput };

/** Sends, says how the last send went, and keeps what is typed. */
export interface SendControl {
  /** Asks for an answer too, unless `run` is `false`. */
  send(input: SendInput): Promise<{ messageId: string; runId?: string }>;
  readonly sending: boolean;
  /** Why the last send was refused; cleared by the next. What fails later is in the outbox. */
  readonly error: ProblemError | Error | undefined;
  /** What was typed into this thread and not sent; it outlives the page. */
  readonly draft: string;
  setDraft(text: string): void;
}

/**
 * Sends messages to a thread, the draft above all, which is empty from then on. A message is a row at once, with the id
 * that `send` resolves to as soon as the browser has kept it; it goes to the server when that is possible. An answer is
 * asked for: `run: false` sends the message alone, as an app does whose own backend answers.
 *
 * @example
 * const { send, draft, setDraft } = useSend(threadId);
 * return (
 *   <form onSubmit={event => {
 *     event.preventDefault();
 *     void send({ text: draft });
 *   }}>
 *     <input value={draft} onChange={event => setDraft(event.target.value)} />
 *   </form>
 * );
 */
export function useSend(threadId: string): SendControl {
  const client = useClient();
  const { draft, setDraft, handOver } = useDraft(threadId);
  const [state, setState] = useState<{ sending: boolean; error?: Error }>({ sending: false });
  const send = useCallback(
    async (input: SendInput) => {
      setState({ sending: true });
      const sent = client.send(threadId, { ...input, run: input.run ?? true });
      if (input.text === client.drafts.get(threadId)) handOver(sent);
      try {
        await sent;
        setState({ sending: false });
      } catch (error) {
        setState({ sending: false, error: error instanceof Error ? error : new Error(String(error)) });
      }
      return sent;
    },
    [client, threadId, handOver],
  );
  return { send, sending: state.sending, error: state.error, draft, setDraft };
}
