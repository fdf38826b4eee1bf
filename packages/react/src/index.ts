//! React hooks over `@threadmill/client`. Rules live in the client; here is only what React needs.

'use client';

export { BlockSplitter, splitBlocks } from './block-splitter.js';
export { ThreadmillProvider, type ThreadmillProviderProps, useClient } from './provider.js';
export { type DraftControl, useDraft } from './use-draft.js';
export { useFlag } from './use-flag.js';
export { useLiveParts } from './use-live-parts.js';
export { type Messages, type MessagesOptions, useMessages } from './use-messages.js';
export { type OutboxControl, useOutbox } from './use-outbox.js';
export { type RunControl, useRun } from './use-run.js';
export { type SendControl, type SendInput, useSend } from './use-send.js';
export { type StreamBlocks, useStreamBlocks } from './use-stream-blocks.js';
export { useStreamText } from './use-stream-text.js';
export { useSyncStatus } from './use-sync-status.js';
export { type Threads, useThreads } from './use-threads.js';
