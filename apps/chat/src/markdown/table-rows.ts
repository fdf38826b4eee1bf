//! Rows of tables with more cells than their head. The parser drops what is too much, as GFM says; a model that forgot to
//! escape a bar meant it to be read. So the bars that are too many are escaped before the text is parsed: the rest of the
//! row then stands in its last cell.

/** What a line may stand in: quotes and items of lists. */
const AROUND = /^(?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])[ \t])*/;
const DELIMITERS = /^[ \t|:-]*$/;
/** What ends a table without a blank line. */
const OTHER_BLOCK = /^(?:`{3}|~{3}|#{1,6}[ \t]|>|<|[-*+][ \t]|\d{1,9}[.)][ \t])/;
const QUOTES = /^(?: {0,3}> ?)+/;
/** A line across, which is no item of a list. */
const RULE = /^[ \t]*([-*])(?:[ \t]*\1){2,}[ \t]*$/;
const FENCE = /^(?:`{3,}|~{3,})/;

/** The text, with each row of its tables as long as the table's head. Cost: each letter is looked at a few times. */
export function withWholeRows(source: string): string {
  // Most texts have no table.
  if (!source.includes('|') || !source.includes('-')) return source;
  const lines = source.split('\n');
  const code = new Code();
  let head: string | undefined;
  let columns = 0;
  for (const [at, line] of lines.entries()) {
    const inside = line.slice(AROUND.exec(line)?.[0].length);
    if (code.has(line)) {
      head = undefined;
      columns = 0;
      continue;
    }
    if (inside.trim() === '') columns = 0;
    else if (columns > 0) {
      if (OTHER_BLOCK.test(line.trimStart().replace(/^(?:>[ \t]?)+/, ''))) columns = 0;
      else lines[at] = joinedAfter(line, columns);
    } else columns = columnsOf(head, inside);
    head = lines[at];
  }
  return lines.join('\n');
}

/** Tells lines of code, which are left as they are, from others. Where it is in doubt, a line is code. */
class Code {
  #fence: { readonly mark: string; readonly quotes: number } | undefined;
  /** Where the words of the list's item begin; 0 outside of lists. */
  #item = 0;

  /** Takes the lines one after another. */
  has(line: string): boolean {
    const around = AROUND.exec(line)?.[0] ?? '';
    const inside = line.slice(around.length);
    const isBlank = inside.trim() === '';
    const quotes = around.split('>').length - 1;
    const rest = line.replace(QUOTES, '');
    const indent = widthOf(/^[ \t]*/.exec(rest)?.[0] ?? '');
    // A fence ends with the quote or the item that it stands in.
    const isLeft = quotes < (this.#fence?.quotes ?? 0) || (!isBlank && indent < this.#item);
    if (isLeft) this.#fence = undefined;
    const isDeep = indent >= this.#item + 4;
    const mark = isDeep ? undefined : FENCE.exec(inside)?.[0];
    const after = inside.slice(mark?.length);
    if (this.#fence) {
      const closes = quotes === this.#fence.quotes && !/[^ \t>]/.test(around) && after.trim() === '';
      if (closes && mark?.startsWith(this.#fence.mark)) this.#fence = undefined;
      return true;
    }
    if (isBlank || isDeep) return isDeep;
    const start = AROUND.exec(rest)?.[0] ?? '';
    if (/[^ \t>]/.test(start) && !RULE.test(rest)) this.#item = widthOf(start);
    else if (indent < this.#item) this.#item = 0;
    // Marks in a line with more of them are a span of code.
    if (mark === undefined || (mark.startsWith('`') && after.includes('`'))) return false;
    this.#fence = { mark, quotes };
    return true;
  }
}

/** Columns of a line's beginning: a tab goes on to the next fourth. */
function widthOf(start: string): number {
  let width = 0;
  for (const letter of start) width += letter === '\t' ? 4 - (width % 4) : 1;
  return width;
}

/** The columns of the table that begins with these two lines; 0 if they begin none. */
function columnsOf(head: string | undefined, delimiters: string): number {
  if (head === undefined || !DELIMITERS.test(delimiters)) return 0;
  const cells = trimmed(delimiters).split('|');
  if (!cells.every(cell => /^:?-+:?$/.test(cell.trim()))) return 0;
  const inHead = barsOf(trimmed(head.slice(AROUND.exec(head)?.[0].length))).length + 1;
  return inHead === cells.length ? cells.length : 0;
}

/** Without the bars at the ends, which divide nothing. */
function trimmed(row: string): string {
  const start = row.trimStart();
  const rest = (start.startsWith('|') ? start.slice(1) : start).trimEnd();
  return isBar(rest, rest.length - 1) ? rest.slice(0, -1) : rest;
}

function isBar(row: string, at: number): boolean {
  return row[at] === '|' && row[at - 1] !== '\\';
}

function barsOf(row: string): number[] {
  const bars: number[] = [];
  for (let at = row.indexOf('|'); at >= 0; at = row.indexOf('|', at + 1)) if (isBar(row, at)) bars.push(at);
  return bars;
}

/** The row with as many cells as that, if it has more. */
function joinedAfter(line: string, columns: number): string {
  const start = AROUND.exec(line)?.[0].length ?? 0;
  const first = line[start] === '|' ? start + 1 : start;
  const end = line.trimEnd().length;
  // A bar at the end divides nothing.
  const last = isBar(line, end - 1) && end - 1 >= first ? end - 1 : end;
  const extra = barsOf(line.slice(first, last)).slice(columns - 1);
  const pieces: string[] = [];
  let from = 0;
  for (const bar of extra) {
    pieces.push(line.slice(from, first + bar));
    from = first + bar;
  }
  return [...pieces, line.slice(from)].join('\\');
}
