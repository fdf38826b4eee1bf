//! The line being read: where a letter of it is, whatever happens to the nodes around it.

import { boxOf, carry, offsetIn, placeAt } from './text-place';

/** More nodes than this are searched by halves. */
const MANY = 16;
/** Pixels. The text of a higher row is not remembered at each scroll: its line is lost when its node is. */
const HIGHEST = 50_000;

/** A letter, or an element without any, and where its top was on the page. */
export interface Line {
  readonly node: Node;
  readonly offset: number;
  readonly top: number;
  /** The text it is part of, to find it again when its node is gone. */
  readonly box: HTMLElement | undefined;
  readonly text: string;
  readonly place: number;
}

/** The first line of `row` that starts at `top` or below it, in pixels of the viewport. */
export function lineIn(row: HTMLElement, top: number): Line | undefined {
  let node: Node = row;
  for (;;) {
    const child = firstBelow(node, top);
    if (!child) break;
    node = child;
  }
  if (node === row) return undefined;
  const offset = node.nodeType === Node.TEXT_NODE ? letterBelow(node as Text, top) : 0;
  const at = topOf(node, offset);
  if (at === undefined) return undefined;
  const box = row.offsetHeight > HIGHEST ? undefined : boxOf(node);
  const place = box ? offsetIn(box, node, offset) : 0;
  return { node, offset, top: at, box, text: box?.textContent ?? '', place };
}

/** Where the line's top is now; nothing if it is not on the page any more. */
export function lineTop(line: Line): number | undefined {
  if (line.node.isConnected) return topOf(line.node, line.offset);
  if (!line.box?.isConnected) return undefined;
  const { node, offset } = placeAt(line.box, carry(line.text, line.box.textContent ?? '', line.place));
  return topOf(node, offset);
}

function topOf(node: Node, offset: number): number | undefined {
  const box = boxAround(node, offset);
  return box && box.height > 0 ? box.top : undefined;
}

/** The box of one letter, or of all of what is no text. */
function boxAround(node: Node, offset: number): DOMRect | undefined {
  if (node instanceof Element) return node.getBoundingClientRect();
  const length = node.nodeValue?.length ?? 0;
  if (length === 0) return undefined;
  const range = document.createRange();
  const start = Math.min(offset, length - 1);
  range.setStart(node, start);
  range.setEnd(node, start + 1);
  const boxes = range.getClientRects();
  // A letter at which a line breaks has a box at the end of the one line and another in the next.
  return boxes[boxes.length - 1] ?? range.getBoundingClientRect();
}

function boxOfNode(node: Node): DOMRect | undefined {
  if (node instanceof Element) return node.getBoundingClientRect();
  if (node.nodeType !== Node.TEXT_NODE || !node.nodeValue?.trim()) return undefined;
  const range = document.createRange();
  range.selectNodeContents(node);
  return range.getBoundingClientRect();
}

/** The first child, in the order of the text, that reaches below `top` and has something to show. */
function firstBelow(parent: Node, top: number): Node | undefined {
  const nodes = parent.childNodes;
  let from = 0;
  if (nodes.length > MANY) {
    let to = nodes.length;
    while (from < to) {
      const middle = (from + to) >> 1;
      if (isAbove(nodes, middle, top)) from = middle + 1;
      else to = middle;
    }
  }
  for (let at = from; at < nodes.length; at += 1) {
    const node = nodes[at] as Node;
    const box = boxOfNode(node);
    if (box && box.height > 0 && box.bottom > top + 1) return node;
  }
  return undefined;
}

/** The node ends above `top`; of one that shows nothing, the next that does. */
function isAbove(nodes: NodeListOf<ChildNode>, index: number, top: number): boolean {
  for (let at = index; at < nodes.length; at += 1) {
    const box = boxOfNode(nodes[at] as Node);
    if (box && box.height > 0) return box.bottom <= top + 1;
  }
  return false;
}

/** The first letter that starts at `top` or below, else the last one. */
function letterBelow(text: Text, top: number): number {
  let [from, to] = [0, text.length - 1];
  while (from < to) {
    const middle = (from + to) >> 1;
    if ((boxAround(text, middle)?.top ?? 0) < top) from = middle + 1;
    else to = middle;
  }
  return from;
}
