//! Text that only grows, written into an element past React. It is laid out in pieces: with each addition the browser
//! lays out the last piece alone, so a long paragraph costs no more at its end than at its start. Many pieces at once are
//! written a few a frame: a megabyte would be laid out in one task.

/** What is laid out as one: so many letters, or so many lines if they are short. */
const PIECE = 4 * 1024;
const LINES = 120;
/** A line this long is broken at a blank, */
const LONG_LINE = 1.25 * PIECE;
/** or anywhere: letters that change their direction again and again cost the square of their number, 25 ms for these. */
const LONGEST_LINE = 1.5 * PIECE;

/** Pieces in a frame, and their letters: their layout takes a few milliseconds. */
const A_FRAME = 4;
const LETTERS = A_FRAME * PIECE;

/** What a piece has. */
interface Size {
  readonly length: number;
  readonly lines: number;
}

const NOTHING: Size = { length: 0, lines: 0 };

function linesOf(text: string): number {
  let lines = 0;
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) lines += 1;
  return lines;
}

/** Where a piece that has something ends in what follows it; less than 0 if it goes on. */
function endOfPiece(text: string, { length, lines }: Size): number {
  let count = lines;
  for (let line = text.indexOf('\n'); line >= 0; line = text.indexOf('\n', line + 1)) {
    if (line + length >= LONG_LINE) break;
    count += 1;
    if (count >= LINES || line + length >= PIECE) return line + 1;
  }
  const word = text.indexOf(' ', Math.max(0, LONG_LINE - length));
  if (word >= 0 && word + length < LONGEST_LINE) return word + 1;
  const end = Math.max(0, LONGEST_LINE - length);
  if (end >= text.length) return -1;
  // Not between the halves of a character.
  const code = text.charCodeAt(end);
  return code >= 0xdc00 && code <= 0xdfff ? end + 1 : end;
}

function putInLine({ style }: HTMLElement): void {
  style.display = 'inline-block';
  style.inlineSize = '100%';
}

/** Writes into one element. */
export class TailText {
  private piece: HTMLElement;
  private size = NOTHING;
  /** What follows the last piece and is written in later frames, while one is asked for. */
  private rest = '';
  private frame: number | undefined;

  constructor(private readonly element: HTMLElement) {
    this.piece = element;
  }

  /** Nothing is written any more: another may write into the element. */
  close(): void {
    if (this.frame !== undefined) cancelAnimationFrame(this.frame);
    this.frame = undefined;
    this.rest = '';
  }

  /** Shows this text alone. If it is there already it stays as it is: what is selected in it stays selected. */
  keep(text: string): void {
    if (this.frame !== undefined || this.element.textContent !== text) {
      this.replace(text);
      return;
    }
    this.piece = (this.element.lastElementChild as HTMLElement | null) ?? this.element;
    this.size = { length: this.piece.textContent.length, lines: linesOf(this.piece.textContent) };
  }

  /** Shows this text alone. */
  replace(text: string): void {
    this.close();
    const end = endOfPiece(text, NOTHING);
    const first = end < 0 ? text : text.slice(0, end);
    this.element.replaceChildren(first);
    this.piece = this.element;
    this.size = { length: first.length, lines: linesOf(first) };
    if (end >= 0) this.goOn(text.slice(end), first.endsWith('\n'));
  }

  /** Adds to what is shown. */
  append(text: string): void {
    if (this.frame !== undefined) {
      this.rest += text;
      return;
    }
    const end = endOfPiece(text, this.size);
    const first = end < 0 ? text : text.slice(0, end);
    this.write(first);
    if (end >= 0) this.goOn(text.slice(end), first.endsWith('\n'));
  }

  /** What follows the end of a piece, on a line of its own or not. */
  private goOn(text: string, ownLine: boolean): void {
    let [from, own] = [0, ownLine];
    for (let pieces = 0; pieces < A_FRAME && from < LETTERS; pieces += 1) {
      this.begin(own);
      const near = text.slice(from, from + LONGEST_LINE + 2);
      const end = endOfPiece(near, NOTHING);
      const piece = end < 0 ? near : near.slice(0, end);
      this.write(piece);
      if (end < 0) return;
      from += end;
      own = piece.endsWith('\n');
    }
    this.rest = text.slice(from);
    this.frame = requestAnimationFrame(() => {
      const { rest } = this;
      this.frame = undefined;
      this.rest = '';
      this.goOn(rest, own);
    });
  }

  private write(text: string): void {
    if (text === '') return;
    this.piece.append(text);
    const { length, lines } = this.size;
    this.size = { length: length + text.length, lines: lines + linesOf(text) };
  }

  /** Pieces that share a line are inline blocks: a copy of the text has a line's end before and after a block. */
  private begin(ownLine: boolean): void {
    const piece = this.element.ownerDocument.createElement('span');
    piece.style.display = 'block';
    if (!ownLine) for (const part of [this.piece, piece]) if (part !== this.element) putInLine(part);
    this.element.append(piece);
    this.piece = piece;
    this.size = NOTHING;
  }
}
