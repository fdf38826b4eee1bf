//! The ends of lines through a text field: a field has one kind of them, and messages have others.

const ANY_END = /\r\n?|\n/g;

/** The text as a field holds it. */
function plain(text: string): string {
  return text.replace(ANY_END, '\n');
}

/** Where in a text the letters are that its plain form has before and after the middle. */
function placesIn(text: string, before: number, after: number): readonly [number, number] {
  const end = plain(text).length - after;
  let [start, shorter] = [-1, 0];
  for (const { index, 0: found } of text.matchAll(ANY_END)) {
    if (start < 0 && index - shorter >= before) start = before + shorter;
    if (index - shorter >= end) break;
    shorter += found.length - 1;
  }
  return [start < 0 ? before + shorter : start, end + shorter];
}

/**
 * What was edited in a field, with the ends of lines that the text had before. Those of lines that were written anew are as
 * most were; where as many lines are there as before, each has its own.
 */
export function withLineEnds(before: string, edited: string): string {
  const [was, is] = [plain(before), plain(edited)];
  if (was === before) return edited;
  if (was === is) return before;
  const most = Math.min(was.length, is.length);
  let first = 0;
  while (first < most && was[first] === is[first]) first += 1;
  let last = 0;
  while (last < most - first && was.at(-1 - last) === is.at(-1 - last)) last += 1;
  const [start, end] = placesIn(before, first, last);
  const ends = before.slice(start, end).match(ANY_END) ?? [];
  const lines = is.slice(first, is.length - last).split('\n');
  const sameLines = lines.length - 1 === ends.length;
  const usual = usualEnd(before);
  let text = before.slice(0, start);
  lines.forEach((line, at) => {
    if (at > 0) text = joined(text, (sameLines ? ends[at - 1] : undefined) ?? usual);
    text += line;
  });
  return joined(text, before.slice(end));
}

/** Two ends of lines stay two. */
function joined(text: string, more: string): string {
  return text.endsWith('\r') && more.startsWith('\n') ? `${text}\r${more}` : text + more;
}

function usualEnd(text: string): string {
  const ends = text.match(ANY_END) ?? [];
  const long = ends.filter(end => end === '\r\n').length;
  return long * 2 >= ends.length ? '\r\n' : '\n';
}
