//! Drafts: what was typed and not sent, kept per thread, across reloads and crashes.

const PREFIX = 'threadmill.draft.';

/** The draft of a place (a thread id, or `new`). */
export function readDraft(place: string): string {
  try {
    return localStorage.getItem(PREFIX + place) ?? '';
  } catch {
    // Storage can be forbidden; then a draft lives as long as the page.
    return '';
  }
}

/** Keeps a draft; an empty one is removed. */
export function writeDraft(place: string, text: string): void {
  try {
    if (text === '') localStorage.removeItem(PREFIX + place);
    else localStorage.setItem(PREFIX + place, text);
  } catch {
    // See above; a full storage must not stop anyone from typing.
  }
}
