//! Text as it was written. A long one is laid out in pieces, a few a turn: one paragraph of a megabyte would hold the
//! page up for half a second.

import { useMemo, useState } from 'react';
import { Slices } from '../turns/slices';
import { isCostly, isQuick } from './layout-cost';

/** What is laid out as one: so many letters, fewer if they are costly, or so many lines if they are short. */
const PIECE = 8 * 1024;
const COSTLY_PIECE = 4 * 1024;
const SLOWEST_PIECE = 2 * 1024;
const LINES = 200;
/** A piece in elements: its layout costs about as much as theirs. */
const WEIGHT = 600;
const COSTLY_WEIGHT = 1_500;
const SLOWEST_WEIGHT = 400;

interface Piece {
  readonly text: string;
  /** Begins or ends in the middle of a line, which the piece beside it has the rest of. */
  readonly broken: boolean;
  readonly weight: number;
}

/** The letters of a piece, and its weight. */
function costOf(text: string): readonly [number, number] {
  if (!isCostly(text)) return [PIECE, WEIGHT];
  return isQuick(text, COSTLY_PIECE) ? [COSTLY_PIECE, COSTLY_WEIGHT] : [SLOWEST_PIECE, SLOWEST_WEIGHT];
}

/** Cuts a text at its lines, where a line is very long at a blank, and where there is none between two characters. */
export function piecesOf(text: string): readonly Piece[] {
  const pieces: Piece[] = [];
  const [most, weight] = costOf(text);
  const isWithinLine = (at: number) => at > 0 && at < text.length && text.charAt(at - 1) !== '\n';
  let start = 0;
  while (start < text.length) {
    const end = start + cutOf(text.slice(start, start + 2 * most), most);
    pieces.push({ text: text.slice(start, end), broken: isWithinLine(start) || isWithinLine(end), weight });
    start = end;
  }
  return pieces;
}

/**
 * Where the first piece of a text ends, which is given as far as a piece may reach: twice the usual length, if a line's end
 * or else a blank is only there.
 */
function cutOf(text: string, most: number): number {
  let line = -1;
  for (let lines = 0; lines < LINES && line < most; lines += 1) {
    const next = text.indexOf('\n', line + 1);
    if (next < 0) break;
    line = next;
    if (lines === LINES - 1) return line + 1;
  }
  if (line >= most) return line + 1;
  if (text.length < 2 * most) return text.length;
  const blank = text.indexOf(' ', most);
  if (blank >= 0) return blank + 1;
  return most + lengthOfLetter(text, most);
}

const MARK = /^[\p{M}\u200d]/u;
/** A letter with more marks is cut all the same. */
const MOST_MARKS = 32;

/** How far the letter goes on that the place is in: its second half, and marks upon it. */
function lengthOfLetter(text: string, place: number): number {
  const code = text.charCodeAt(place);
  let length = code >= 0xdc00 && code <= 0xdfff ? 1 : 0;
  while (length < MOST_MARKS && MARK.test(text.slice(place + length, place + length + 2))) length += 1;
  return length;
}

const weightOf = ({ weight }: Piece) => weight;

/** A copy of the text has a line's end before and after a block, and none at an inline block. */
function renderPiece({ text, broken }: Piece, index: number) {
  return (
    <span key={index} className={broken ? 'plain-piece plain-broken' : 'plain-piece'}>
      {text}
    </span>
  );
}

/** Whether pieces that were drawn stay as they are, but for the last of them. */
function goOn(before: readonly Piece[], now: readonly Piece[]): boolean {
  return before.slice(0, -1).every(({ text }, at) => text === now[at]?.text);
}

/** The pieces of a text, and a number for those that go on from one another: others are to come in turns of their own. */
function usePieces(text: string): readonly [readonly Piece[], number] {
  const pieces = useMemo(() => piecesOf(text), [text]);
  const [held, setHeld] = useState({ pieces, version: 0 });
  if (held.pieces === pieces) return [pieces, held.version];
  const version = goOn(held.pieces, pieces) ? held.version : held.version + 1;
  setHeld({ pieces, version });
  return [pieces, version];
}

/** The letters of a text, laid out in pieces if they are many. */
export function Pieces({ text }: { text: string }) {
  const [pieces, version] = usePieces(text);
  if (pieces.length < 2) return text;
  return (
    <Slices key={version} things={pieces} weightOf={weightOf} render={renderPiece} most={pieces.length} />
  );
}

/** A text, each line in its own direction. */
export function PlainText({ text, className = 'plain' }: { text: string; className?: string }) {
  return (
    <p className={className} dir="auto">
      <Pieces text={text} />
    </p>
  );
}
