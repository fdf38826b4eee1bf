//! Places in a text that is about to be shown differently: Markdown as it is typed gives way to what it means.
//!
//! A place is an offset in the text of an element. The text before and after is compared by its letters and digits, in
//! their order: what one has and the other lacks (marks, the numbers of a list, addresses of links) is passed over where
//! both agree again.

/** Letters that must agree for two texts to go on together. */
const AGREE = 4;
/** How many letters of either may be passed over at once: more than a long address. */
const FARTHEST = 400;

const LETTER = /[\p{L}\p{N}]/u;
/** What has letters and is not shown: the number of a list's item, the address of a link. */
const UNSEEN = /^[ \t>]*\d{1,9}[.)](?=\s)|\]\([^()\s]*\)/gm;

/** The letters and digits of a text that are shown, and where each is. */
function letters(text: string): { all: string[]; at: number[] } {
  const [all, at]: [string[], number[]] = [[], []];
  const shown = text.replace(UNSEEN, unseen => ' '.repeat(unseen.length));
  for (let i = 0; i < shown.length; i += 1) {
    const letter = shown.charAt(i);
    // Halves of a pair are no letters by themselves; they count, or text of them alone would have no place.
    if (letter < '\ud800' ? !LETTER.test(letter) : letter > '\udfff' && !LETTER.test(letter)) continue;
    all.push(letter);
    at.push(i);
  }
  return { all, at };
}

function agree(a: readonly string[], i: number, b: readonly string[], j: number): boolean {
  const length = Math.min(AGREE, a.length - i, b.length - j);
  for (let k = 0; k < length; k += 1) if (a[i + k] !== b[j + k]) return false;
  return length > 0;
}

/** How much of each has to be passed over until both agree again: the least in all, rather of what was there before. */
function skip(
  a: readonly string[],
  i: number,
  b: readonly string[],
  j: number,
): [number, number] | undefined {
  for (let all = 1; all <= FARTHEST; all += 1) {
    for (let of = 0; of <= all; of += 1) if (agree(a, i + all - of, b, j + of)) return [all - of, of];
  }
  return undefined;
}

/** Where in `after` the place is that was at `offset` in `before`. */
export function carry(before: string, after: string, offset: number): number {
  let same = 0;
  while (same < offset && before[same] === after[same]) same += 1;
  if (same === offset) return offset;
  // From the beginning of that line, since what is not shown is known by its place in one.
  same = before.lastIndexOf('\n', same - 1) + 1;
  const [a, b] = [letters(before.slice(same)), letters(after.slice(same))];
  const found = a.at.findIndex(at => at + same >= offset);
  const j = counterpart(a.all, b.all, found < 0 ? a.all.length : found);
  const at = b.at[j];
  return at === undefined ? after.length : at + same;
}

/** The index in `b` of what is at `target` in `a`, or of the next letter that both have. */
function counterpart(a: readonly string[], b: readonly string[], target: number): number {
  let [i, j] = [0, 0];
  while (j < b.length && i < a.length) {
    if (a[i] === b[j]) {
      if (i >= target) return j;
      i += 1;
      j += 1;
      continue;
    }
    const passed = skip(a, i, b, j);
    if (!passed) break;
    i += passed[0];
    j += passed[1];
  }
  return b.length;
}

/** As `carry`, of an end of what is selected: what is between it and the first or last letter selected stays with it. */
export function carryEnd(before: string, after: string, offset: number, side: 'first' | 'last'): number {
  const step = side === 'first' ? 1 : -1;
  const char = (text: string, at: number) => text.charAt(side === 'first' ? at : at - 1);
  let letter = offset;
  while (char(before, letter) !== '' && !LETTER.test(char(before, letter))) letter += step;
  if (char(before, letter) === '') return carry(before, after, offset);
  let now = side === 'first' ? carry(before, after, letter) : carry(before, after, letter - 1) + 1;
  for (let at = letter; at !== offset && char(before, at - step) === char(after, now - step); at -= step)
    now -= step;
  return Math.min(now, after.length);
}

/** The element whose nodes may be replaced while its text stays: one text of a message. */
export function boxOf(node: Node): HTMLElement | undefined {
  const element = node instanceof Element ? node : node.parentElement;
  return element?.closest<HTMLElement>('.md, .folded-prose') ?? undefined;
}

/** The offset of a place in the text of `root`. */
export function offsetIn(root: Node, node: Node, offset: number): number {
  const range = document.createRange();
  range.setStart(root, 0);
  range.setEnd(node, offset);
  return range.toString().length;
}

/** The place in the text nodes of `root` at an offset of its text. */
export function placeAt(root: Node, offset: number): { node: Node; offset: number } {
  const texts = document.createTreeWalker(root, NodeFilter.SHOW_TEXT);
  let left = offset;
  let last: { node: Node; offset: number } = { node: root, offset: root.childNodes.length };
  for (let node = texts.nextNode(); node; node = texts.nextNode()) {
    const length = node.nodeValue?.length ?? 0;
    if (left < length) return { node, offset: left };
    left -= length;
    last = { node, offset: length };
  }
  return last;
}
