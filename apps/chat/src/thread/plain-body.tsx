//! The body of a message that a person wrote: their text as they typed it.

import type { Row } from '@threadmill/client';
import { useState } from 'react';
import { sizeInWords } from '../text';
import { OtherPart } from './other-part';
import { MorePart, textOf, useWholeParts } from './whole-parts';

/** Letters that are laid out unasked. What the server sends is cut already; a message on its way is not. */
const SHOWN = 20_000;
/** Letters in a piece of a long text: the browser lays out those that are in view. */
const PIECE = 8_000;

export function PlainBody({ row }: { row: Row }) {
  const parts = useWholeParts(row);
  return parts.map((part, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a message are told apart by their number alone
    <div key={index} className={part.type === 'text' ? 'plain' : undefined}>
      {part.type === 'text' ? (
        <PlainText text={textOf(part)} asked={part !== row.parts[index]} />
      ) : (
        <OtherPart part={part} />
      )}
      <MorePart row={row} index={index} />
    </div>
  ));
}

/** A text, a long one as its beginning unless the reader `asked` for the whole. */
function PlainText({ text, asked }: { text: string; asked: boolean }) {
  const [all, setAll] = useState(false);
  if (text.length <= SHOWN) return text;
  if (all || asked) {
    return pieces(text).map((piece, index) => (
      // biome-ignore lint/suspicious/noArrayIndexKey: the pieces of a text are told apart by their number alone
      <div key={index} className="plain-piece">
        {piece}
      </div>
    ));
  }
  return (
    <>
      {text.slice(0, SHOWN)}
      <button type="button" className="text-button more-part" onClick={() => setAll(true)}>
        {`Show all (${sizeInWords(text.length)})`}
      </button>
    </>
  );
}

/** The text in pieces that end with a line: a piece is a block, and begins a line of its own. */
function pieces(text: string): string[] {
  const all: string[] = [];
  let start = 0;
  while (text.length - start > PIECE) {
    const end = text.indexOf('\n', start + PIECE);
    if (end < 0) break;
    all.push(text.slice(start, end));
    start = end + 1;
  }
  all.push(text.slice(start));
  return all;
}
