//! The parts of the message that is written at the moment, with their text as it grows.

import type { LiveHandle, Row, ThreadHandle } from '@threadmill/client';
import { useEffect, useMemo, useState } from 'react';

type Parts = Row['parts'];

const NONE: Parts = [];

/** Renders at most once a frame while text comes. Without a message there are no parts. */
export function useWritten(handle: ThreadHandle | undefined, messageId: string | undefined): Parts {
  const live = useMemo(
    () => (handle && messageId !== undefined ? handle.live(messageId) : undefined),
    [handle, messageId],
  );
  const [shown, setShown] = useState<{ of: LiveHandle; parts: Parts }>();
  useEffect(() => (live ? follow(live, parts => setShown({ of: live, parts })) : undefined), [live]);
  return shown && shown.of === live ? shown.parts : NONE;
}

/** Tells the parts as they are, and whenever one comes or grows. Returns what ends that. */
function follow(live: LiveHandle, tell: (parts: Parts) => void): () => void {
  const texts = new Map<number, string>();
  const streams = new Map<number, () => void>();
  const say = () =>
    tell(live.getSnapshot().map((part, at) => (texts.has(at) ? { ...part, text: texts.get(at) } : part)));
  const look = () => {
    live.getSnapshot().forEach((part, at) => {
      if (streams.has(at) || (part.type !== 'text' && part.type !== 'reasoning')) return;
      const detach = live.stream(at).attach({
        reset: text => {
          texts.set(at, text);
          say();
        },
        append: delta => {
          texts.set(at, (texts.get(at) ?? '') + delta);
          say();
        },
        end: () => {},
      });
      streams.set(at, detach);
    });
    say();
  };
  const unsubscribe = live.subscribe(look);
  look();
  return () => {
    unsubscribe();
    for (const detach of streams.values()) detach();
  };
}
