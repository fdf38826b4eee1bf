//! Which way a block reads. `dir="auto"` finds it by the first letter, but looks past what has a direction of its own:
//! around paragraphs, which all have one, it has to be said.

import type { MarkNode } from './ops';

const LETTER = /\p{L}/u;
const RIGHT_TO_LEFT =
  /[\p{Script=Arabic}\p{Script=Hebrew}\p{Script=Syriac}\p{Script=Thaana}\p{Script=Nko}\p{Script=Adlam}]/u;

/** How much of a text is searched for a letter. */
const SEARCHED = 200;

function firstLetter(nodes: readonly MarkNode[]): string | undefined {
  for (const node of nodes) {
    const found =
      'children' in node
        ? firstLetter(node.children)
        : node.kind === 'text'
          ? LETTER.exec(node.text.slice(0, SEARCHED))?.[0]
          : undefined;
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Whether these have a direction of their own. */
export function hasLetters(nodes: readonly MarkNode[]): boolean {
  return firstLetter(nodes) !== undefined;
}

/** The direction of what holds these blocks. */
export function directionOf(nodes: readonly MarkNode[]): 'rtl' | 'auto' {
  return RIGHT_TO_LEFT.test(firstLetter(nodes) ?? '') ? 'rtl' : 'auto';
}
