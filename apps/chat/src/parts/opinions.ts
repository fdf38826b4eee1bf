//! What the reader thinks of answers, as far as this page knows: thumbs outlive their rows, which leave the page when they
//! are scrolled away. The server counts them and gives none back.

/** A thumb. */
export type Thumb = 'up' | 'down';

/** Thumbs that are kept, the newest. */
const KEPT = 500;

const thumbs = new Map<string, Thumb>();

export function thumbOf(messageId: string): Thumb | undefined {
  return thumbs.get(messageId);
}

/** Keeps a thumb, or with none forgets it: the server did not take it. */
export function keepThumb(messageId: string, thumb: Thumb | undefined): void {
  thumbs.delete(messageId);
  if (thumb === undefined) return;
  thumbs.set(messageId, thumb);
  for (const oldest of thumbs.keys()) {
    if (thumbs.size <= KEPT) break;
    thumbs.delete(oldest);
  }
}
