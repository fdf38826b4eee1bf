//! The window of a thread.

import type { Anchor, ThreadHandle, ThreadSnapshot } from '@threadmill/client';
import { useInsertionEffect, useMemo, useRef } from 'react';
import { type OpenAt, useThreadHandle, useThreadSnapshot } from './thread-handle.js';

/** Where to open a thread, and on which branch. */
export type MessagesOptions = OpenAt;

/** The window now, and the ways to move it. The functions are the same ones for as long as the component lives. */
export interface Messages extends ThreadSnapshot {
  /** For `useStreamText` and `useStreamBlocks`; absent until mounted. */
  readonly handle: ThreadHandle | undefined;
  /** Calls while a page is on its way get that page. Rejects if it cannot be had. */
  loadOlder(): Promise<{ added: number; hasOlder: boolean }>;
  /** As `loadOlder`. */
  loadNewer(): Promise<{ added: number; hasNewer: boolean }>;
  jumpTo(anchor: Anchor): Promise<void>;
  switchBranch(branch: string): Promise<void>;
  /** Says whether the reader is at the live edge; only then the window follows the tip. */
  setFollow(follow: boolean): void;
}

/**
 * The messages of a thread that are loaded, from `firstIndex` on, those on their way to the server included (they
 * have an `outbox`). Renders when a row appears, goes or changes, never for streamed text.
 *
 * @example
 * const { rows, hasOlder, loadOlder } = useMessages(threadId, { anchor: { at: 'tip' } });
 * return (
 *   <>
 *     {hasOlder && <button onClick={() => void loadOlder()}>Older</button>}
 *     {rows.map(row => <Message key={row.id} row={row} />)}
 *   </>
 * );
 */
export function useMessages(threadId: string | 'skip', options?: MessagesOptions): Messages {
  const handle = useThreadHandle(threadId, options);
  const snapshot = useThreadSnapshot(handle);
  const now = useRef(handle);
  // Before every layout effect, so that no effect below moves the window of another thread.
  useInsertionEffect(() => {
    now.current = handle;
  });
  const moves = useMemo(
    () => ({
      loadOlder: async () => now.current?.loadOlder() ?? { added: 0, hasOlder: false },
      loadNewer: async () => now.current?.loadNewer() ?? { added: 0, hasNewer: false },
      jumpTo: async (anchor: Anchor) => now.current?.jumpTo(anchor),
      switchBranch: async (branch: string) => now.current?.switchBranch(branch),
      setFollow: (follow: boolean) => now.current?.setFollow(follow),
    }),
    [],
  );
  return useMemo(() => ({ ...snapshot, handle, ...moves }), [snapshot, handle, moves]);
}
