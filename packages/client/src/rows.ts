//! What a row says of itself.

import type { Part, Row } from './types.js';

/** The text parts, joined. */
export function textOf(row: Row): string {
  let text = '';
  for (const part of row.parts) if (part.type === 'text') text += String(part.text ?? '');
  return text;
}

/** The text of a part that grows: text and reasoning; undefined for any other. */
export function proseOf(part: Part): string | undefined {
  return part.type === 'text' || part.type === 'reasoning' ? String(part.text ?? '') : undefined;
}

/** Nothing that is shown differs, streamed text apart. */
export function sameRow(a: Row, b: Row): boolean {
  const said = ({ rev, status, run, fork }: Row) => JSON.stringify([rev, status, run, fork]);
  return said(a) === said(b);
}
