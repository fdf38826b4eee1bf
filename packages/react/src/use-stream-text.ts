//! Streamed text straight into an element, past React.

import type { ThreadHandle } from '@threadmill/client';
import { type RefCallback, useCallback } from 'react';
import { useThreadHandle } from './thread-handle.js';

/**
 * A ref whose element holds the text of a message while it is written: no render per token, nodes only appended.
 * `thread` is an id, or the `handle` of `useMessages` (needed when a branch is open that is not the default).
 *
 * @example
 * const text = useStreamText(threadId, message.id);
 * return <p ref={text} style={{ whiteSpace: 'pre-wrap' }} />;
 */
export function useStreamText(thread: string | ThreadHandle, messageId: string): RefCallback<HTMLElement> {
  const own = useThreadHandle(typeof thread === 'string' ? thread : 'skip');
  const handle = typeof thread === 'string' ? own : thread;
  return useCallback(
    (element: HTMLElement | null) => {
      if (!element || !handle) return;
      return handle.stream(messageId).attach({
        reset: text => element.replaceChildren(text),
        append: delta => element.append(delta),
        end: () => {},
      });
    },
    [handle, messageId],
  );
}
