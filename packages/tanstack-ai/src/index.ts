//! TanStack AI over Threadmill: the log that a stream is taken up again from, locks between servers, and the stores of what is
//! remembered of a chat.

export { type ThreadmillStreamOptions, threadmillStream } from './durability.js';
export { type ThreadmillLocksOptions, threadmillLocks } from './locks.js';
export { threadmillPersistence } from './persistence.js';
export { ServerError, type ThreadmillOptions } from './server.js';
