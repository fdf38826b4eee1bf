//! What it costs a browser to lay a text out as one. Most text costs what it is long. Two kinds cost the square of it:
//! letters of scripts that are written without blanks (Thai, Khmer, Lao, Burmese), whose words are looked for in the whole
//! run, and runs that change their direction, which are put in order all together. In Chromium on a laptop 65,000 such
//! letters take one to three seconds, 8,000 take 15 to 45 ms. Letters that no font has cost much too where they stand in
//! one long text, so all of the scripts between Hebrew and Khmer are counted.

/** So many letters, or changes of direction, may be laid out as one. */
const MOST = 8 * 1024;
/** A text with fewer of them is one like any other. */
const FEW = 2_000;

/** Hebrew to Khmer and beyond, marks of direction, the forms of Arabic, and the first halves of further such scripts. */
const COSTLY =
  /[\u0590-\u1cff\u200e\u200f\u202a-\u202e\u2066-\u2069\ua800-\uabff\ufb1d-\ufdff\ufe70-\ufefe\ud802-\ud804\ud83a\ud83b]/;
const ALL_COSTLY = new RegExp(COSTLY, 'g');

/** Whether so much of a text is of these scripts that it is to be laid out in shorter pieces. */
export function isCostly(text: string, few = FEW): boolean {
  if (text.length <= few || !COSTLY.test(text)) return false;
  ALL_COSTLY.lastIndex = 0;
  for (let count = 0; count < few; count += 1) if (!ALL_COSTLY.test(text)) return false;
  return true;
}

/** How much a text weighs, in elements: by the line, or for a costly one by the square of its length. */
export function lettersWeight(text: string): number {
  if (isCostly(text)) return Math.max(text.length / 20, 24 * (text.length / 1_000) ** 2);
  return text.length / (COSTLY.test(text) ? 20 : 100);
}

type Side = 'left' | 'right';

/** Which way a letter is written; nothing for what takes the direction of what is around it. */
function sideOf(code: number): Side | undefined {
  if (code < 0x30 || (code > 0x39 && code < 0x41)) return undefined;
  const right =
    (code >= 0x590 && code <= 0x8ff) ||
    (code >= 0xfb1d && code <= 0xfdff) ||
    (code >= 0xfe70 && code < 0xfeff);
  return right || code === 0xd802 || code === 0xd803 || code === 0xd83a || code === 0xd83b ? 'right' : 'left';
}

const isDirectionMark = (code: number) =>
  code === 0x200e ||
  code === 0x200f ||
  (code >= 0x202a && code <= 0x202e) ||
  (code >= 0x2066 && code <= 0x2069);

/** Scripts without blanks between words. */
const isUnspaced = (code: number) =>
  (code >= 0xe00 && code <= 0xeff) ||
  (code >= 0x1000 && code <= 0x109f) ||
  (code >= 0x1780 && code <= 0x17ff);

const isBlank = (code: number) => code === 0x20 || code === 0x0a;

/**
 * Whether a text is laid out as quickly as `most` changes of direction, or letters without a blank, are: with 8,192, a
 * field can do so with each key. It is asked about texts, not about keys: it reads all of it.
 */
export function isQuick(text: string, most = MOST): boolean {
  if (text.length <= most || !COSTLY.test(text)) return true;
  let [changes, squares, run] = [0, 0, 0];
  let side: Side | undefined;
  for (let at = 0; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (isUnspaced(code)) run += 1;
    else if (isBlank(code)) {
      squares += run ** 2;
      run = 0;
    }
    const now = sideOf(code);
    if (isDirectionMark(code) || (now !== undefined && side !== undefined && now !== side)) changes += 1;
    side = now ?? side;
  }
  return changes ** 2 + squares + run ** 2 <= most ** 2;
}
