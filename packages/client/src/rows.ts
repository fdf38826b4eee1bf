//! What a row says of itself.

import type { Fork, Row } from './types.js';

/** The text parts, joined. */
export function textOf(row: Row): string {
  let text = '';
  for (const part of row.parts) if (part.type === 'text') text += String(part.text ?? '');
  return text;
}

/** Nothing that is shown differs, streamed text apart. */
export function sameRow(a: Row, b: Row): boolean {
  return a.rev === b.rev && a.status === b.status && a.run === b.run && sameFork(a.fork, b.fork);
}

function sameFork(a: Fork | undefined, b: Fork | undefined): boolean {
  return (
    a?.index === b?.index &&
    a?.total === b?.total &&
    a?.previous?.message === b?.previous?.message &&
    a?.next?.message === b?.next?.message
  );
}
