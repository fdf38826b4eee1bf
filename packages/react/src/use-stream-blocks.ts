//! A streaming message as settled Markdown blocks and a tail.

import type { ThreadHandle } from '@threadmill/client';
import { type RefCallback, useLayoutEffect, useMemo, useSyncExternalStore } from 'react';
import { BlockStream } from './block-stream.js';
import { useThreadHandle } from './thread-handle.js';

const NONE: readonly string[] = [];
const noSubscription = () => () => {};
const none = () => NONE;

/** Block sources, of which only the last may grow, and the ref of the element that shows the rest. */
export interface StreamBlocks {
  readonly blocks: readonly string[];
  readonly tail: RefCallback<HTMLElement>;
}

/**
 * The blocks of a message being written, published in batches (a few renders for a whole answer), and a ref for
 * the text after them, which is written without React. The last block may grow as long as it is the last. The tail's
 * `data-kind` says `code` inside an open fence. `'skip'` reads no stream. With `part`, only that text part, by its place
 * among those of `useLiveParts`.
 *
 * @example
 * const { blocks, tail } = useStreamBlocks(handle, message.id);
 * return <>{blocks.map((source, i) => <Markdown key={i} source={source} />)}<div ref={tail} /></>;
 */
export function useStreamBlocks(
  thread: string | ThreadHandle | undefined,
  messageId: string | 'skip',
  part?: number,
): StreamBlocks {
  const own = useThreadHandle(typeof thread === 'string' ? thread : 'skip');
  const handle = typeof thread === 'string' ? own : thread;
  const stream = useMemo(() => {
    if (!handle || messageId === 'skip') return undefined;
    return new BlockStream(
      part === undefined ? handle.stream(messageId) : handle.live(messageId).stream(part),
    );
  }, [handle, messageId, part]);
  const blocks = useSyncExternalStore(stream?.subscribe ?? noSubscription, stream?.getSnapshot ?? none, none);
  // The tail gives up what the blocks now show, in the same commit: nothing is seen twice or not at all.
  // biome-ignore lint/correctness/useExhaustiveDependencies: the blocks are the reason, not an argument
  useLayoutEffect(() => stream?.writeTail(), [stream, blocks]);
  const tail = useMemo<RefCallback<HTMLElement>>(() => stream?.tail ?? (() => {}), [stream]);
  return { blocks, tail };
}
