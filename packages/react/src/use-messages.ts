//! The window of a thread.

import type { Anchor, ThreadHandle, ThreadSnapshot } from '@threadmill/client';
import { useMemo } from 'react';
import { useThreadHandle, useThreadSnapshot } from './thread-handle.js';

/** Where to open a thread, and on which branch. Read once, when the thread opens. */
export interface MessagesOptions {
  readonly anchor?: Anchor;
  readonly branch?: string;
}

/** The window now, and the ways to move it. */
export interface Messages extends ThreadSnapshot {
  /** For `useStreamText` and `useStreamBlocks`; absent until mounted. */
  readonly handle: ThreadHandle | undefined;
  loadOlder(): Promise<{ added: number; hasOlder: boolean }>;
  loadNewer(): Promise<{ added: number; hasNewer: boolean }>;
  jumpTo(anchor: Anchor): Promise<void>;
  switchBranch(branch: string): Promise<void>;
  /** Says whether the reader is at the live edge; only then the window follows the tip. */
  setFollow(follow: boolean): void;
}

/**
 * The messages of a thread that are loaded, from `firstIndex` on. Renders when a row appears, goes or changes,
 * never for streamed text.
 *
 * @example
 * const { rows, hasOlder, loadOlder } = useMessages(threadId, { anchor: { at: 'tip' } });
 */
export function useMessages(threadId: string | 'skip', options?: MessagesOptions): Messages {
  const handle = useThreadHandle(threadId, options);
  const snapshot = useThreadSnapshot(handle);
  return useMemo(
    () => ({
      ...snapshot,
      handle,
      loadOlder: async () => (handle ? handle.loadOlder() : { added: 0, hasOlder: false }),
      loadNewer: async () => (handle ? handle.loadNewer() : { added: 0, hasNewer: false }),
      jumpTo: async (anchor: Anchor) => handle?.jumpTo(anchor),
      switchBranch: async (branch: string) => handle?.switchBranch(branch),
      setFollow: (follow: boolean) => handle?.setFollow(follow),
    }),
    [snapshot, handle],
  );
}
