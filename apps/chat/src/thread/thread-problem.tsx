//! What stands where a thread cannot be shown.

import type { ThreadSnapshot } from '@threadmill/client';
import { navigate } from '../route';

export function ThreadProblem({ messages }: { messages: ThreadSnapshot }) {
  const deleted = messages.status === 'deleted' || messages.error?.status === 404;
  return (
    <main className="thread-problem" id="main">
      <h2>{deleted ? 'This thread is gone' : 'This thread cannot be shown'}</h2>
      <p>
        {deleted
          ? 'It was deleted, or it is not yours.'
          : messages.error?.hint || messages.error?.message || 'The server did not say why.'}
      </p>
      <button type="button" className="button" onClick={() => navigate('/')}>
        Start a new one
      </button>
    </main>
  );
}
