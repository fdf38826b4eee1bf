//! Long text in the composer. A field lays all of its text out with each key, which takes a second for a megabyte: what
//! is longer than people edit is held beside the field and sent with what is typed.

import { type ClipboardEvent, type DragEvent, useState } from 'react';
import { Icon } from '../controls/icon';
import { sizeInWords } from '../text/text';

/** A longer text is not put into a field. */
export const LONGEST = 64 * 1024;
const BETWEEN = '\n\n';

/** A draft as what the field shows and what is held beside it, which comes last. */
export interface LongText {
  readonly typed: string;
  readonly held: string;
  setTyped(text: string): void;
  drop(): void;
  onPaste(event: ClipboardEvent<HTMLTextAreaElement>): void;
  onDrop(event: DragEvent<HTMLTextAreaElement>): void;
}

function joined(typed: string, held: string): string {
  return typed === '' || held === '' ? typed + held : typed + BETWEEN + held;
}

/** What was typed before what is held; a long draft that came from elsewhere is held whole. */
export function splitDraft(draft: string, held: string): { typed: string; held: string } {
  if (held !== '' && draft === held) return { typed: '', held };
  if (held !== '' && draft.endsWith(BETWEEN + held)) {
    const typed = draft.slice(0, draft.length - held.length - BETWEEN.length);
    if (typed.length <= LONGEST) return { typed, held };
  }
  return draft.length > LONGEST ? { typed: '', held: draft } : { typed: draft, held: '' };
}

/** Shares a draft between a field and what is held beside it. */
export function useLongText(draft: string, setDraft: (text: string) => void): LongText {
  const [last, setLast] = useState('');
  const { typed, held } = splitDraft(draft, last);
  if (held !== last) setLast(held);
  const hold = (text: string, rest: string) => {
    setLast(text);
    setDraft(joined(rest, text));
  };
  const take = (event: ClipboardEvent | DragEvent, from: DataTransfer) => {
    const text = from.getData('text/plain').replaceAll('\r\n', '\n');
    if (text.length + typed.length <= LONGEST) return;
    event.preventDefault();
    hold(joined(held, text), typed);
  };
  return {
    typed,
    held,
    setTyped: text => setDraft(joined(text, held)),
    drop: () => hold('', typed),
    onPaste: event => take(event, event.clipboardData),
    onDrop: event => take(event, event.dataTransfer),
  };
}

/** What is held: how it begins, how much it is, and a way to be rid of it. */
export function HeldText({ text, onDrop }: { text: string; onDrop(): void }) {
  if (text === '') return null;
  return (
    <div className="held-text">
      <span className="held-start" dir="auto">
        {text.slice(0, 200)}
      </span>
      <span className="held-size">{sizeInWords(text.length)} of text, sent with your message</span>
      <button type="button" className="icon-button" aria-label="Remove the long text" onClick={onDrop}>
        <Icon name="close" />
      </button>
    </div>
  );
}
