//! What a row says of itself.

import type { Part, PreviewPart, Row } from './types.js';

/** The parts of a row if they are all there: none is cut short, and no run is adding to them. */
export function wholeParts(row: Row): readonly Part[] | undefined {
  const cut = row.run !== undefined || (row.previews?.length ?? 0) > 0;
  return cut ? undefined : (row.parts as readonly Part[]);
}

/** The row's texts with their indexes, if none of them is cut short. */
export function wholeTexts(row: Row): readonly { part: number; text: string }[] | undefined {
  const cut = new Set(row.previews?.map(({ part }) => part));
  const texts = row.parts.flatMap((part, index) =>
    part.type === 'text' ? [{ part: index, text: String(part.text ?? '') }] : [],
  );
  return row.run !== undefined || texts.some(({ part }) => cut.has(part)) ? undefined : texts;
}

/** The text parts, joined. */
export function textOf(row: Row): string {
  let text = '';
  for (const part of row.parts) if (part.type === 'text') text += String(part.text ?? '');
  return text;
}

/** The text of a part that grows: text and reasoning; undefined for any other. */
export function proseOf(part: PreviewPart): string | undefined {
  return part.type === 'text' || part.type === 'reasoning' ? String(part.text ?? '') : undefined;
}

/**
 * Nothing that is shown differs. The revision alone does not tell: a run writes without a new one, a server that was put
 * back counts the same ones again, and what a browser has kept may be anything.
 */
export function sameRow(a: Row, b: Row): boolean {
  const said = ({ rev, status, run, fork, parts, metadata }: Row) =>
    JSON.stringify([rev, status, run, fork, parts, metadata]);
  return said(a) === said(b);
}
