//! What can wait until the reader sees the rest: it is rendered in the task after the next frame.

import { startTransition, useEffect, useState } from 'react';

const waiting = new Set<() => void>();

/** All that waits is rendered at once. */
function flush(): void {
  const now = [...waiting];
  waiting.clear();
  startTransition(() => {
    for (const show of now) show();
  });
}

function afterPaint(show: () => void): () => void {
  if (waiting.size === 0) requestAnimationFrame(() => setTimeout(flush));
  waiting.add(show);
  return () => {
    waiting.delete(show);
  };
}

/** False until what is rendered now has been painted; counted from when it is `ready`. */
export function useAfterPaint(ready = true): boolean {
  const [after, setAfter] = useState(false);
  useEffect(() => (ready && !after ? afterPaint(() => setAfter(true)) : undefined), [ready, after]);
  return after;
}
