//! What stands where a thread could not be drawn: the composer with what was typed, and a way to load the page again.

import { useDraft } from '@threadmill/react';

/** Types into the draft, which outlives the page; nothing is sent from here. */
export function KeptComposer({ place }: { place: string }) {
  const { draft, setDraft } = useDraft(place);
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
        <div className="composer-box">
          <textarea
            rows={1}
            dir="auto"
            value={draft}
            aria-label="Message"
            onChange={event => setDraft(event.target.value)}
          />
        </div>
      </form>
    </main>
  );
}
