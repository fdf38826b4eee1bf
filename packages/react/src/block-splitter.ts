//! Cuts growing Markdown into blocks that will not change any more. It knows where a block ends, not what is in it.
//!
//! It reads each line once and decides only on what can no longer be taken back, so that a text gives the same
//! blocks however it was cut into deltas. Where it is not sure it joins: a block may hold several Markdown blocks,
//! but no Markdown block is ever cut in two.

const FENCE = /^(\s*)(?:[-*+>]\s+|\d{1,9}[.)]\s+)*(`{3,}|~{3,})([^\n]*)$/;
/** A line that may begin a fence, an item or raw HTML: most do not, and need no closer look. */
const MARKED = /^\s*[-*+>`~<\d]/;
const RULE = /^ {0,3}([-*_])(?:[ \t]*\1){2,}[ \t]*$/;
const LIST_ITEM = /^ {0,3}(?:[-*+]|\d{1,9}[.)])(?:\s|$)/;
const RAW_HTML = /^ {0,3}<(?:(!--)|(pre|script|style|textarea)\b|(\?)|(!\[CDATA\[))/i;

interface Fence {
  readonly mark: string;
  readonly length: number;
  readonly nested: boolean;
}

/** How much of a line's indent matters: from four columns on it is all the same. */
const INDENT = 8;

/**
 * Splits a text that arrives in pieces. Cost: each character is looked at a constant number of times, however the text
 * is cut and however long its lines and blocks are: what is joined is read only when a line or a block is complete.
 */
export class BlockSplitter {
  private done: string[] = [];
  /** The complete lines of the block. */
  private block = '';
  /** The line that is not complete. */
  private line = '';
  /** How the incomplete line begins, while it is blank. */
  private indent: string | undefined = '';
  private fence: Fence | undefined;
  private fenceClosed = false;
  private htmlEnd: string | undefined;
  private list = false;
  private blank = false;

  /** The blocks that are settled; grows only at its end. */
  get settled(): readonly string[] {
    return this.done;
  }

  /** What is not settled yet. */
  get tail(): string {
    return this.block + this.line;
  }

  /** Takes the next piece of the text. */
  push(delta: string): void {
    let from = 0;
    for (;;) {
      const end = delta.indexOf('\n', from);
      if (end < 0) break;
      this.takeLine(this.line + delta.slice(from, end));
      from = end + 1;
    }
    if (from < delta.length) this.takePart(delta.slice(from));
  }

  /** All blocks, the unsettled end as the last one. */
  finish(): readonly string[] {
    const { tail } = this;
    return tail.trim() === '' ? this.done : [...this.done, tail];
  }

  /** A piece without a line's end. What a line opens is asked once, when its first letter is there. */
  private takePart(part: string): void {
    this.line += part;
    if (this.indent === undefined) return;
    const first = part.search(/\S/);
    const head = (this.indent + (first < 0 ? part : part.slice(0, first))).slice(0, INDENT);
    this.indent = first < 0 ? head : undefined;
    if (first >= 0 && this.startsBlock(head + part.charAt(first), false)) this.cut();
  }

  private takeLine(line: string): void {
    if (this.startsBlock(line, true)) this.cut();
    this.block += `${line}\n`;
    this.line = '';
    this.indent = '';
    this.readLine(line);
  }

  /** Whether `line` certainly opens a block. An incomplete line counts only when no continuation can change that. */
  private startsBlock(line: string, complete: boolean): boolean {
    if (this.block === '' || this.fence || this.htmlEnd !== undefined) return false;
    if (!this.blank && !this.fenceClosed) return false;
    const indent = line.search(/\S/);
    if (indent < 0) return false;
    if (line.slice(0, indent).includes('\t') || indent > 3) return this.fenceClosed && !this.list;
    if (!this.list) return true;
    if (indent > 1) return false;
    return complete ? !LIST_ITEM.test(line) || RULE.test(line) : /[^-*+\d]/.test(line.charAt(indent));
  }

  private readLine(line: string): void {
    if (this.fence) {
      this.readFenced(line, this.fence);
      return;
    }
    if (this.htmlEnd !== undefined) {
      if (line.toLowerCase().includes(this.htmlEnd)) this.htmlEnd = undefined;
      return;
    }
    this.fenceClosed = false;
    this.blank = !/\S/.test(line);
    if (MARKED.test(line)) this.readContent(line);
  }

  private readContent(line: string): void {
    const fence = FENCE.exec(line);
    if (fence && !(fence[2]?.startsWith('`') && fence[3]?.includes('`'))) {
      this.openFence(line, fence);
      return;
    }
    const html = RAW_HTML.exec(line);
    if (html) {
      const end = html[1] ? '-->' : html[2] ? `</${html[2].toLowerCase()}` : html[3] ? '?>' : ']]>';
      if (!line.toLowerCase().includes(end)) this.htmlEnd = end;
      return;
    }
    if (LIST_ITEM.test(line) && !RULE.test(line)) this.list = true;
  }

  private openFence(line: string, found: RegExpExecArray): void {
    // A quoted fence closes with its quote, at the latest at a blank line: it needs no memory.
    if (/^\s*>/.test(line)) return;
    const item = LIST_ITEM.test(line);
    if (item) this.list = true;
    const nested = this.list && (item || (found[1]?.length ?? 0) > 1);
    if (!nested && (found[1]?.length ?? 0) > 3) return;
    if (!nested) this.list = false;
    this.fence = { mark: found[2]?.charAt(0) ?? '`', length: found[2]?.length ?? 3, nested };
  }

  private readFenced(line: string, fence: Fence): void {
    const text = line.trim();
    const closes = text.length >= fence.length && text === fence.mark.repeat(text.length);
    if (!closes || (!fence.nested && line.search(/\S/) > 3)) return;
    this.fence = undefined;
    this.fenceClosed = !fence.nested;
    this.blank = false;
  }

  /** The block ends before the line that is being read. */
  private cut(): void {
    this.done.push(this.block);
    this.block = '';
    this.fenceClosed = false;
    this.blank = false;
    this.list = false;
  }
}

/** The blocks of a text that is complete. */
export function splitBlocks(text: string): readonly string[] {
  const splitter = new BlockSplitter();
  splitter.push(text);
  return splitter.finish();
}
