//! The stores of TanStack AI's persistence: messages are a thread's, so that every client of Threadmill shows them; runs,
//! interrupts and what the app keeps beside them are logs.

import { threadStore } from './messages.js';
import { interruptStore, metadataStore, runStore } from './records.js';
import { Server, type ThreadmillOptions } from './server.js';

/**
 * What `@tanstack/ai-persistence` takes as `stores`: `messages`, `runs`, `interrupts` and `metadata`. All of it is the user's whom
 * `headers` name, so make it for each request.
 *
 * @example
 * const persistence = threadmillPersistence({ url, headers: { authorization } });
 */
export function threadmillPersistence(options: ThreadmillOptions) {
  const server = new Server(options);
  return {
    stores: {
      messages: threadStore(server),
      runs: runStore(server),
      interrupts: interruptStore(server),
      metadata: metadataStore(server),
    },
  };
}
