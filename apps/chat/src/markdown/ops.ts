//! What to draw for a Markdown text, read from the parser's list of numbers: `crates/markdown/src/ops.rs` says what
//! they are.

import { lettersWeight } from '../text/layout-cost';

const OP = {
  close: 0,
  text: 1,
  hardBreak: 2,
  rule: 3,
  codeSpan: 4,
  codeBlock: 5,
  rawBlock: 6,
  image: 7,
  taskBox: 8,
  paragraph: 9,
  quote: 10,
  heading: 11,
  bulletList: 12,
  numberedList: 13,
  item: 14,
  table: 15,
  tableHead: 16,
  tableRow: 17,
  tableCell: 18,
  emphasis: 19,
  strong: 20,
  strike: 21,
  link: 22,
} as const;

export type Align = 'left' | 'center' | 'right' | undefined;
const ALIGN: readonly Align[] = [undefined, 'left', 'center', 'right'];

/** Elements that need nothing but their content. */
export type PlainKind =
  | 'paragraph'
  | 'quote'
  | 'item'
  | 'tableHead'
  | 'tableRow'
  | 'tableCell'
  | 'emphasis'
  | 'strong'
  | 'strike';

/** Has content of its own; `weight` counts it and all in it. */
interface Parent {
  readonly children: MarkNode[];
  weight: number;
}

export type ParentNode = Parent &
  (
    | { readonly kind: PlainKind }
    | { readonly kind: 'heading'; readonly level: number }
    | { readonly kind: 'list'; readonly start: number | undefined }
    | { readonly kind: 'table'; readonly columns: readonly Align[] }
    | { readonly kind: 'link'; readonly address: string; readonly title: string }
  );

export type LeafNode =
  | { readonly kind: 'text'; readonly text: string }
  | { readonly kind: 'hardBreak' }
  | { readonly kind: 'rule' }
  | { readonly kind: 'codeSpan'; readonly text: string }
  | { readonly kind: 'codeBlock'; readonly info: string; readonly code: string }
  | { readonly kind: 'rawBlock'; readonly text: string }
  | { readonly kind: 'image'; readonly address: string; readonly words: string }
  | { readonly kind: 'taskBox'; readonly checked: boolean };

export type MarkNode = ParentNode | LeafNode;

const PLAIN: ReadonlyMap<number, PlainKind> = new Map<number, PlainKind>([
  [OP.paragraph, 'paragraph'],
  [OP.quote, 'quote'],
  [OP.item, 'item'],
  [OP.tableHead, 'tableHead'],
  [OP.tableRow, 'tableRow'],
  [OP.tableCell, 'tableCell'],
  [OP.emphasis, 'emphasis'],
  [OP.strong, 'strong'],
  [OP.strike, 'strike'],
]);

/** A block of code has a caption, a button and its icon, and asks for its colours. */
export const CODE_BLOCK = 40;

/** How much it costs to draw a node: its elements, and its letters by the line. */
export function weightOf(node: MarkNode): number {
  if ('children' in node) return node.weight;
  if (node.kind === 'codeBlock') return CODE_BLOCK + lettersWeight(node.code);
  if ('text' in node) return 1 + lettersWeight(node.text);
  return node.kind === 'image' ? 4 : 1;
}

/** All that nodes say. */
export function lettersOf(nodes: readonly MarkNode[]): string {
  let letters = '';
  for (const node of nodes) {
    if ('children' in node) letters += lettersOf(node.children);
    else if ('text' in node) letters += node.text;
  }
  return letters;
}

/** Reads a list and its letters. */
class Reader {
  private at = 0;
  private letters = 0;

  constructor(
    private readonly ops: Uint32Array,
    private readonly text: string,
  ) {}

  nodes(): MarkNode[] {
    const root: MarkNode[] = [];
    const open: ParentNode[] = [];
    while (this.at < this.ops.length) {
      const op = this.number();
      if (op === OP.close) {
        const done = open.pop();
        const around = open[open.length - 1];
        if (done && around) around.weight += done.weight;
        continue;
      }
      const parent = this.parent(op);
      const node = parent ?? this.leaf(op);
      const around = open[open.length - 1];
      (around?.children ?? root).push(node);
      if (parent) open.push(parent);
      else if (around) around.weight += weightOf(node);
    }
    return root;
  }

  private number(): number {
    const value = this.ops[this.at] ?? 0;
    this.at += 1;
    return value;
  }

  private words(): string {
    const start = this.letters;
    this.letters += this.number();
    return this.text.slice(start, this.letters);
  }

  private parent(op: number): ParentNode | undefined {
    const content = { children: [], weight: 1 };
    const kind = PLAIN.get(op);
    if (kind) return { kind, ...content };
    if (op === OP.heading) return { kind: 'heading', level: this.number(), ...content };
    if (op === OP.bulletList) return { kind: 'list', start: undefined, ...content };
    if (op === OP.numberedList) return { kind: 'list', start: this.number(), ...content };
    if (op === OP.table) return { kind: 'table', columns: this.columns(), ...content };
    if (op === OP.link) return { kind: 'link', address: this.words(), title: this.words(), ...content };
    return undefined;
  }

  private columns(): Align[] {
    return Array.from({ length: this.number() }, () => ALIGN[this.number()]);
  }

  private leaf(op: number): LeafNode {
    if (op === OP.text) return { kind: 'text', text: this.words() };
    if (op === OP.hardBreak) return { kind: 'hardBreak' };
    if (op === OP.rule) return { kind: 'rule' };
    if (op === OP.codeSpan) return { kind: 'codeSpan', text: this.words() };
    if (op === OP.codeBlock) return { kind: 'codeBlock', info: this.words(), code: this.words() };
    if (op === OP.rawBlock) return { kind: 'rawBlock', text: this.words() };
    if (op === OP.image) return { kind: 'image', address: this.words(), words: this.words() };
    if (op === OP.taskBox) return { kind: 'taskBox', checked: this.number() === 1 };
    // The module and this file are of one build.
    throw new Error(`The list has an unknown number: ${op}`);
  }
}

/** The tree that a list says. */
export function readOps(ops: Uint32Array, text: string): MarkNode[] {
  return new Reader(ops, text).nodes();
}
