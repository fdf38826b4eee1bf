//! The letters of one paragraph, cell or heading, in pieces where laying them out as one would hold the page up: a piece
//! is a block of its own in the line, as wide as the line. Only what nobody writes by hand is so long and so costly.

import type { ReactNode } from 'react';
import { isCostly, isQuick, lettersWeight } from '../text/layout-cost';
import { piecesOf } from '../text/plain-text';
import { Slices } from '../turns/slices';
import { renderInline } from './inline';
import { lettersOf, type MarkNode, type ParentNode } from './ops';

/** Letters of a piece, of one that is slow for its length, and of what is laid out as one; fewer if it is slow. */
const PIECE = 4 * 1024;
const SLOW_PIECE = 2 * 1024;
const MOST = 8 * 1024;
const MOST_SLOW = 4 * 1024;
/**
 * And in a cell of a table, whose width follows from its letters: the browser finds it by laying them out one word a line,
 * 500 of them in 3 ms and 8,000 in half a second. A piece in a cell is as wide as a cell can be.
 */
const MOST_IN_CELL = 500;

/** Where letters stand. */
type Place = 'line' | 'cell';

/** Nodes laid out as one, and the blank between them and the next ones, which belongs to neither. */
export interface InlinePiece {
  readonly nodes: readonly MarkNode[];
  readonly blank: string;
  readonly weight: number;
}

type Letters = Extract<MarkNode, { readonly kind: 'text' | 'codeSpan' }>;

/** Takes what has nothing in it from the end: it was opened for what comes in the next piece. */
function prune(nodes: MarkNode[]): void {
  for (let last = nodes.at(-1); last && 'children' in last; last = nodes.at(-1)) {
    prune(last.children);
    if (last.children.length > 0) return;
    nodes.pop();
  }
}

/** Cuts a tree into several that follow one another: what is open where one ends is open in the next, too. */
class Cutter {
  readonly pieces: InlinePiece[] = [];
  private nodes: MarkNode[] = [];
  private open: ParentNode[] = [];
  private letters = '';

  constructor(private readonly most: number) {}

  take(nodes: readonly MarkNode[]): void {
    for (const node of nodes) {
      if ('children' in node) {
        this.enter(node);
        this.take(node.children);
        this.open.pop();
      } else if (node.kind === 'text' || node.kind === 'codeSpan') {
        for (const { text } of piecesOf(node.text)) this.add({ ...node, text });
      } else this.put(node);
    }
  }

  /** The piece ends; a blank may follow it that is in no piece. */
  cut(following = ''): void {
    prune(this.nodes);
    if (this.nodes.length === 0) return;
    const blank = this.takeBlank() + following;
    this.pieces.push({ nodes: this.nodes, blank, weight: lettersWeight(this.letters) });
    this.nodes = [];
    this.letters = '';
    const { open } = this;
    this.open = [];
    for (const parent of open) this.enter(parent);
  }

  private enter(parent: ParentNode): void {
    const copy = { ...parent, children: [] };
    this.put(copy);
    this.open.push(copy);
  }

  private add(leaf: Letters): void {
    let { text } = leaf;
    if (this.letters.length + text.length > this.most && this.letters !== '') {
      const rest = leaf.kind === 'text' ? text.trimStart() : text;
      this.cut(text.slice(0, text.length - rest.length));
      text = rest;
    }
    this.put({ ...leaf, text });
    this.letters += text;
  }

  private put(node: MarkNode): void {
    (this.open.at(-1)?.children ?? this.nodes).push(node);
  }

  /** A blank at an end of a block is none, and would be missing in a copy: it comes between the pieces. */
  private takeBlank(): string {
    let nodes = this.nodes;
    for (let last = nodes.at(-1); last; last = nodes.at(-1)) {
      if ('children' in last) {
        nodes = last.children;
        continue;
      }
      if (last.kind !== 'text') return '';
      const text = last.text.trimEnd();
      nodes[nodes.length - 1] = { ...last, text };
      return last.text.slice(text.length);
    }
    return '';
  }
}

/** The pieces of these nodes; nothing if they may be laid out as one. */
export function inlinePieces(nodes: readonly MarkNode[], place: Place): readonly InlinePiece[] | undefined {
  const letters = lettersOf(nodes);
  const slow = !isQuick(letters, MOST_SLOW);
  const costly =
    place === 'cell' ? isCostly(letters, MOST_IN_CELL) : slow || (letters.length > MOST && isCostly(letters));
  if (!costly) return undefined;
  const cutter = new Cutter(slow ? SLOW_PIECE : PIECE);
  cutter.take(nodes);
  cutter.cut();
  return cutter.pieces;
}

const BLOCKS: ReadonlySet<MarkNode['kind']> = new Set([
  'paragraph',
  'quote',
  'heading',
  'list',
  'table',
  'rule',
  'codeBlock',
  'rawBlock',
]);

/** Nodes of one sort that follow one another. */
interface Run {
  readonly inline: boolean;
  readonly nodes: MarkNode[];
}

/** The inline nodes and the blocks among these, each as far as they follow one another. */
export function runsOf(nodes: readonly MarkNode[]): readonly Run[] {
  const runs: Run[] = [];
  for (const node of nodes) {
    const inline = !BLOCKS.has(node.kind);
    const last = runs.at(-1);
    if (last?.inline === inline) last.nodes.push(node);
    else runs.push({ inline, nodes: [node] });
  }
  return runs;
}

const weightOf = ({ weight }: InlinePiece) => weight;

function renderPiece({ nodes, blank }: InlinePiece, index: number): ReactNode {
  return [
    <span key={index} className="inline-piece">
      {renderInline(nodes)}
    </span>,
    blank,
  ];
}

/** Inline nodes, in pieces if they have to be. */
export function Inline({ nodes, place = 'line' }: { nodes: readonly MarkNode[]; place?: Place }) {
  const pieces = inlinePieces(nodes, place);
  if (!pieces) return renderInline(nodes);
  return <Slices things={pieces} weightOf={weightOf} render={renderPiece} most={pieces.length} />;
}
