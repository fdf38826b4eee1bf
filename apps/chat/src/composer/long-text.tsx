//! Long text in the composer. A field lays all of its text out with each key, which takes a second for a megabyte: what
//! is longer than people edit is held beside the field and sent with what is typed.

import { type RefObject, useState } from 'react';
import { Icon } from '../controls/icon';
import { fits, useTextGate } from '../controls/text-gate';
import { sizeInWords } from '../text/text';

const BETWEEN = '\n\n';

/** A draft as what the field shows and what is held beside it, which comes last. */
export interface Split {
  readonly typed: string;
  readonly held: string;
}

const NOTHING: Split = { typed: '', held: '' };

interface LongText extends Split {
  drop(): void;
  /** For the field. */
  readonly gate: ReturnType<typeof useTextGate>;
}

function joined({ typed, held }: Split): string {
  return typed === '' || held === '' ? typed + held : typed + BETWEEN + held;
}

/**
 * The two parts of a draft. One that the composer made is as it was made, however much was typed: what is in the field
 * stays there. Of one that came from elsewhere the end is held that was held before; if the rest is too long, all is.
 */
export function splitDraft(draft: string, last: Split): Split {
  if (draft === joined(last)) return last;
  const { held } = last;
  if (held !== '' && draft === held) return { typed: '', held };
  if (held !== '' && draft.endsWith(BETWEEN + held)) {
    const typed = draft.slice(0, draft.length - held.length - BETWEEN.length);
    if (fits(typed)) return { typed, held };
  }
  return fits(draft) ? { typed: draft, held: '' } : { typed: '', held: draft };
}

/** Shares a draft between a field and what is held beside it. */
export function useLongText(
  area: RefObject<HTMLTextAreaElement | null>,
  draft: string,
  setDraft: (text: string) => void,
): LongText {
  const [last, setLast] = useState(NOTHING);
  const now = splitDraft(draft, last);
  if (now !== last) setLast(now);
  const become = (next: Split) => {
    setLast(next);
    setDraft(joined(next));
  };
  const { typed, held } = now;
  const gate = useTextGate(area, typed, {
    onText: text => become({ typed: text, held }),
    onTooLong: ({ before, text, after }) =>
      become({ typed: before + after, held: joined({ typed: held, held: text }) }),
  });
  return { ...now, gate, drop: () => become({ typed, held: '' }) };
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
