//! The parts of a message while it is written, each in its place.

import type { LiveHandle, PreviewPart, ThreadHandle } from '@threadmill/client';
import { useMemo } from 'react';
import { useShown } from './held.js';
import { useThreadHandle } from './thread-handle.js';

const NONE: readonly PreviewPart[] = [];
const none = () => NONE;

/** What a run writes of a message: `undefined` for `'skip'` and until the thread is open. */
export function useLive(
  thread: string | ThreadHandle | undefined,
  messageId: string | 'skip',
): LiveHandle | undefined {
  const own = useThreadHandle(typeof thread === 'string' ? thread : 'skip');
  const handle = typeof thread === 'string' ? own : thread;
  return useMemo(
    () => (handle && messageId !== 'skip' ? handle.live(messageId) : undefined),
    [handle, messageId],
  );
}

/**
 * The parts of a message in the order in which they are stored, while it is written and after. Renders when a part comes
 * or changes, never for text: a text or reasoning part has the text it began with, and `useStreamText` or
 * `useStreamBlocks` with its place shows the rest. `'skip'` reads nothing and has no parts.
 *
 * @example
 * const parts = useLiveParts(handle, row.run ? row.id : 'skip');
 * return (row.run ? parts : row.parts).map((part, at) => <Part key={at} part={part} at={at} />);
 */
export function useLiveParts(
  thread: string | ThreadHandle | undefined,
  messageId: string | 'skip',
): readonly PreviewPart[] {
  return useShown(useLive(thread, messageId), none);
}
