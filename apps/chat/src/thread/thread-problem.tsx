//! What stands where a thread cannot be shown.

import type { ThreadSnapshot } from '@threadmill/client';
import { threadPath } from '../shell/address';
import { navigate } from '../shell/route';
import { WordsOfThread } from './left-words';

interface ThreadProblemProps {
  readonly messages: ThreadSnapshot;
  readonly threadId: string;
  /** The message the address named; it may be what is missing, and not the thread. */
  readonly messageId: string | undefined;
}

export function ThreadProblem({ messages, threadId, messageId }: ThreadProblemProps) {
  const gone = messages.status === 'deleted' || messages.error?.status === 404;
  const what = messageId === undefined ? 'thread' : 'message';
  return (
    <main className="thread-problem" id="main" tabIndex={-1}>
      <h2>{gone ? `This ${what} is gone` : `This ${what} cannot be shown`}</h2>
      <p>
        {gone
          ? 'It was deleted, or it is not yours.'
          : messages.error?.hint || messages.error?.message || 'The server did not say why.'}
      </p>
      {messageId !== undefined && (
        <a className="button" href={threadPath(threadId)}>
          Open the thread
        </a>
      )}
      <button type="button" className="button" onClick={() => navigate('/')}>
        Start a new one
      </button>
      <WordsOfThread threadId={threadId} />
    </main>
  );
}
