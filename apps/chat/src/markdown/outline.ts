//! Levels of a message's headings in the page's outline. A message may begin with any level and skip some; for those
//! who move by headings each stands one below the one it belongs to, and the first below the page's title.

import type { MarkNode } from './ops';

/** The levels that are open, outermost first. */
export type Outline = readonly number[];

const HEADING = /^ {0,3}(#{1,6})(?:[ \t]|$)/;
const FENCE = /^\s*(?:`{3,}|~{3,})/;

/** What is open after a heading of this level. */
function after(open: Outline, level: number): Outline {
  return [...open.filter(outer => outer < level), level];
}

/** What is open after a block. It looks at lines alone: a miss costs a level, nothing that is read. */
export function outlineAfter(open: Outline, source: string): Outline {
  if (!source.includes('#')) return open;
  let now = open;
  let fenced = false;
  for (const line of source.split('\n')) {
    if (FENCE.test(line)) fenced = !fenced;
    const level = fenced ? undefined : HEADING.exec(line)?.[1]?.length;
    if (level !== undefined) now = after(now, level);
  }
  return now;
}

/** Says the page's level of each heading among the nodes. */
export function pageLevels(nodes: readonly MarkNode[], open: Outline): ReadonlyMap<MarkNode, number> {
  const levels = new Map<MarkNode, number>();
  let now = open;
  const walk = (some: readonly MarkNode[]) => {
    for (const node of some) {
      if (node.kind === 'heading') {
        now = after(now, node.level);
        levels.set(node, Math.min(6, now.length + 1));
      } else if (node.kind === 'quote' || node.kind === 'list' || node.kind === 'item') walk(node.children);
    }
  };
  walk(nodes);
  return levels;
}
