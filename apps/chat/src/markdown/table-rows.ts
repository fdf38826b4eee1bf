//! Rows of tables with more cells than their head. The parser drops what is too much, as GFM says; a model that forgot to
//! escape a bar meant it to be read. So the bars that are too many are escaped before the text is parsed: the rest of the
//! row then stands in its last cell.

/** What a line may stand in: quotes and items of lists. */
const AROUND = /^(?:[ \t]|>|(?:[-*+]|\d{1,9}[.)])[ \t])*/;
const DELIMITERS = /^[ \t|:-]*$/;
/** What ends a table without a blank line. */
const OTHER_BLOCK = /^(?:`{3}|~{3}|#{1,6}[ \t]|>|<|[-*+][ \t]|\d{1,9}[.)][ \t])/;
const FENCE = /^(?:`{3,}|~{3,})/;

/** The text, with each row of its tables as long as the table's head. Cost: each letter is looked at a few times. */
export function withWholeRows(source: string): string {
  // Most texts have no table.
  if (!source.includes('|') || !source.includes('-')) return source;
  const lines = source.split('\n');
  let fence: string | undefined;
  let columns = 0;
  for (const [at, line] of lines.entries()) {
    const inside = line.slice(AROUND.exec(line)?.[0].length);
    const mark = FENCE.exec(inside)?.[0];
    if (mark !== undefined && (fence === undefined || mark.startsWith(fence)))
      fence = fence === undefined ? mark : undefined;
    if (fence !== undefined || mark !== undefined || inside.trim() === '') columns = 0;
    else if (columns > 0) {
      if (OTHER_BLOCK.test(line.trimStart().replace(/^(?:>[ \t]?)+/, ''))) columns = 0;
      else lines[at] = joinedAfter(line, columns);
    } else columns = columnsOf(lines[at - 1], inside);
  }
  return lines.join('\n');
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
