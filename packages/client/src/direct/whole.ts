//! A branch held whole: pages go in, rows come out, and those that did not change stay the objects they were.

import { sameRow } from '../words/rows.js';
import type { Row, ThreadSnapshot } from '../words/types.js';
import { isLive, rowsOf, type WindowJson } from './read.js';

export class Whole {
  readonly branch: string;
  /** Of the newest page that went in. */
  #cursor: string;
  #total: number;
  #rows: readonly Row[] = [];
  #run: ThreadSnapshot['run'];
  /** Which slots are held, from the first. */
  #end = 0;

  /** `pages` cover the branch, the newest first. `before` is what was held until now. */
  constructor(pages: readonly [WindowJson, ...WindowJson[]], before?: Whole) {
    this.branch = pages[0].branch;
    this.#cursor = pages[0].cursor;
    this.#total = pages[0].total;
    const known = before?.branch === this.branch ? before.#rows : [];
    // The newest page last: of a slot that two pages have, it knows more.
    for (const page of [...pages].reverse()) this.#put(page, known);
    // Where nothing changed, the list itself stays too.
    if (known.length === this.#rows.length && known.every((row, i) => row === this.#rows[i]))
      this.#rows = known;
  }

  get rows(): readonly Row[] {
    return this.#rows;
  }

  get total(): number {
    return this.#total;
  }

  get run(): ThreadSnapshot['run'] {
    return this.#run;
  }

  /**
   * Takes the branch's end. `unexplained`: something changed that this does not show, or that lies before it,
   * so that only a whole read tells.
   */
  merge(tip: WindowJson): 'same' | 'merged' | 'unexplained' {
    if (tip.cursor === this.#cursor) return 'same';
    if (tip.firstDepth > this.#end || tip.total < this.#total || tip.nextDepth < this.#end)
      return 'unexplained';
    const [rows, run] = [this.#rows, this.#run];
    this.#put(tip, rows);
    const shown = this.#rows !== rows || this.#run?.status !== run?.status;
    if (!shown && !this.#run) return 'unexplained';
    this.#cursor = tip.cursor;
    this.#total = tip.total;
    return 'merged';
  }

  /** The page's range is as the page has it; what lies outside stays. */
  #put(page: WindowJson, known: readonly Row[]): void {
    const held = new Map(known.map(row => [row.id, row]));
    const fresh = rowsOf(page).map(row => {
      const before = held.get(row.id);
      return before && sameRow(before, row) ? before : row;
    });
    const rows = [
      ...this.#rows.filter(row => row.depth < page.firstDepth),
      ...fresh,
      ...this.#rows.filter(row => row.depth >= page.nextDepth),
    ];
    const same = rows.length === this.#rows.length && rows.every((row, i) => row === this.#rows[i]);
    if (!same) this.#rows = rows;
    this.#end = Math.max(this.#end, page.nextDepth);
    const run = page.runs.find(isLive);
    this.#run = run && {
      id: run.id,
      message: run.message,
      status: run.status === 'live' ? 'live' : 'stopping',
    };
  }
}
