//! Long texts in the composer. A text area lays out all it holds with every key, a pasted megabyte for seconds; so a long
//! text stands beside it, folded, and goes with what is typed when that is sent.

import { useClient } from '@threadmill/react';
import { type ClipboardEvent, useCallback, useState } from 'react';

/** Letters, and lines, from which on a text is folded. */
const LONG = 20_000;
const LINES = 400;

/** Whether a text is too long for a text area. */
export function isLong(text: string): boolean {
  if (text.length >= LONG) return true;
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0 && lines < LINES; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines >= LINES;
}

/** What is sent: the words that were typed come first, since they say what the rest is for. */
export function withLong(typed: string, long: string): string {
  if (long === '') return typed;
  return typed.trim() === '' ? long : `${typed.trimEnd()}\n\n${long}`;
}

/** The folded text of one composer, kept like its draft. */
export interface LongText {
  readonly long: string;
  /** Adds to it; nothing is lost of what is folded already. */
  fold(text: string): void;
  clear(): void;
}

/** The folded text at a place of drafts. */
export function useLongText(place: string): LongText {
  const { drafts } = useClient();
  const key = `${place}#long`;
  const [long, setLong] = useState(() => drafts.get(key));
  const put = useCallback(
    (text: string) => {
      drafts.set(key, text);
      setLong(text);
    },
    [drafts, key],
  );
  const fold = useCallback((text: string) => put(withLong(drafts.get(key), text)), [put, drafts, key]);
  return { long, fold, clear: useCallback(() => put(''), [put]) };
}

/** Takes a long text out of a paste before the text area has it. */
export function foldPasted(event: ClipboardEvent, fold: (text: string) => void): void {
  const text = event.clipboardData.getData('text/plain');
  if (!isLong(text)) return;
  event.preventDefault();
  fold(text);
}
