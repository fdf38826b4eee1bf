//! What stands where a thread could not be drawn: the composer with what was typed, and a way to load the page again.

import { useDraft } from '@threadmill/react';
import { useRef } from 'react';
import { HeldText, useLongText } from './long-text';

/** Types into the draft, which outlives the page; nothing is sent from here. */
export function KeptComposer({ place }: { place: string }) {
  const { draft, setDraft } = useDraft(place);
  const area = useRef<HTMLTextAreaElement>(null);
  const long = useLongText(area, draft, setDraft);
  return (
    <main className="thread" id="main">
      <div className="list">
        <div className="undrawn" role="alert">
          <span>This thread cannot be shown. What you typed is kept.</span>
          <button type="button" className="text-button" onClick={() => location.reload()}>
            Load the page again
          </button>
        </div>
      </div>
      <form className="composer">
        <HeldText text={long.held} onDrop={long.drop} />
        <div className="composer-box">
          <textarea ref={area} rows={1} dir="auto" value={long.typed} aria-label="Message" {...long.gate} />
        </div>
      </form>
    </main>
  );
}
