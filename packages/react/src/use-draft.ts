//! What was typed and not sent.

import { useCallback, useState } from 'react';
import { useClient } from './provider.js';

/** The draft of one place. */
export interface DraftControl {
  readonly draft: string;
  setDraft(text: string): void;
  /**
   * The draft is being sent: it is shown no more, forgotten when that is done, and back if that fails, before what
   * has been typed by then.
   */
  handOver(sent: Promise<unknown>): void;
}

/**
 * The draft of a place (a thread's id, or any name of the app's), kept by this browser across reloads.
 *
 * @example
 * const { draft, setDraft } = useDraft('new');
 * return <textarea value={draft} onChange={event => setDraft(event.target.value)} />;
 */
export function useDraft(place: string): DraftControl {
  const { drafts } = useClient();
  const [held, setHeld] = useState(() => ({ place, text: drafts.get(place) }));
  let shown = held;
  // Another place has another draft: at once, not a render later.
  if (held.place !== place) {
    shown = { place, text: drafts.get(place) };
    setHeld(shown);
  }
  const setDraft = useCallback(
    (text: string) => {
      drafts.set(place, text);
      setHeld({ place, text });
    },
    [drafts, place],
  );
  const handOver = useCallback(
    (sent: Promise<unknown>) => {
      const text = drafts.get(place);
      setHeld({ place, text: '' });
      sent.then(
        () => drafts.get(place) === text && drafts.set(place, ''),
        () => {
          const typed = drafts.get(place);
          const both = typed === '' || typed === text ? text : `${text}\n\n${typed}`;
          drafts.set(place, both);
          setHeld(now => (now.place === place ? { place, text: both } : now));
        },
      );
    },
    [drafts, place],
  );
  return { draft: shown.text, setDraft, handOver };
}
