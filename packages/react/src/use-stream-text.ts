//! Streamed text straight into an element, past React.

import type { ThreadHandle } from '@threadmill/client';
import { type RefCallback, useCallback } from 'react';
import { TailText } from './tail-text.js';
import { useThreadHandle } from './thread-handle.js';

/**
 * A ref whose element holds the text of a message while it is written: no render per token, nodes only appended.
 * `thread` is an id, or the `handle` of `useMessages` (needed when a branch is open that is not the default). With
 * `part`, only that text or reasoning part, by its place among those of `useLiveParts`.
 *
 * @example
 * const text = useStreamText(threadId, message.id);
 * return <p ref={text} style={{ whiteSpace: 'pre-wrap' }} />;
 */
export function useStreamText(
  thread: string | ThreadHandle | undefined,
  messageId: string,
  part?: number,
): RefCallback<HTMLElement> {
  const own = useThreadHandle(typeof thread === 'string' ? thread : 'skip');
  const handle = typeof thread === 'string' ? own : thread;
  return useCallback(
    (element: HTMLElement | null) => {
      if (!element || !handle) return;
      const stream = part === undefined ? handle.stream(messageId) : handle.live(messageId).stream(part);
      const written = new TailText(element);
      const detach = stream.attach({
        reset: text => written.keep(text),
        append: delta => written.append(delta),
        end: () => {},
      });
      return () => {
        written.close();
        detach();
      };
    },
    [handle, messageId, part],
  );
}
