//! Text as it was written. A long one is laid out in pieces, a few a turn: one paragraph of a megabyte would hold the
//! page up for half a second.

import { useMemo } from 'react';
import { Slices } from './markdown/slices';

/** What is laid out as one. */
const PIECE = 8 * 1024;
/** A text up to this is one piece. */
const SHORT = 2 * PIECE;
/** How far after a piece's length a line's end is looked for, then a blank. */
const FURTHER = PIECE;
/** A piece in elements: its layout costs about as much as theirs. */
const WEIGHT = 400;

interface Piece {
  readonly text: string;
  /** Ends in the middle of a line, which goes on in the next. */
  readonly broken: boolean;
}

/** Cuts a text at its lines, where a line is very long at a blank, and where there is none between two characters. */
export function piecesOf(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  let start = 0;
  while (text.length - start > SHORT) {
    const end = start + cutOf(text.slice(start, start + PIECE + FURTHER));
    pieces.push({ text: text.slice(start, end), broken: text.charAt(end - 1) !== '\n' });
    start = end;
  }
  pieces.push({ text: text.slice(start), broken: false });
  return pieces;
}

function cutOf(text: string): number {
  for (const end of ['\n', ' ']) {
    const found = text.indexOf(end, PIECE);
    if (found >= 0) return found + 1;
  }
  const between = text.charCodeAt(PIECE);
  const isSecondHalf = between >= 0xdc00 && between <= 0xdfff;
  return isSecondHalf ? PIECE + 1 : PIECE;
}

const weightOf = () => WEIGHT;

/** A piece that ends within a line is an inline block, so that a copy of the text has no line end there. */
function renderPiece({ text, broken }: Piece, index: number) {
  return (
    <span key={index} className={broken ? 'plain-piece plain-broken' : 'plain-piece'}>
      {text}
    </span>
  );
}

/** A text, each line in its own direction. */
export function PlainText({ text, className = 'plain' }: { text: string; className?: string }) {
  const pieces = useMemo(() => (text.length > SHORT ? piecesOf(text) : undefined), [text]);
  return (
    <p className={className} dir="auto">
      {pieces ? (
        <Slices things={pieces} weightOf={weightOf} render={renderPiece} most={pieces.length} />
      ) : (
        text
      )}
    </p>
  );
}
