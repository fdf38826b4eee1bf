//! How much the rows of a thread take, as their JSON: a letter is a byte at least, and what else an object takes is not known
//! to a page. A row is measured once.

import type { Row } from '../words/types.js';

const known = new WeakMap<Row, number>();

export function bytesOf(rows: readonly Row[]): number {
  return rows.reduce((sum, row) => {
    const bytes = known.get(row) ?? JSON.stringify(row).length;
    known.set(row, bytes);
    return sum + bytes;
  }, 0);
}
