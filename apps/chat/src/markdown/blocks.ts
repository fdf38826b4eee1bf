//! The blocks that a complete text is drawn in.

import { splitBlocks } from '@threadmill/react';
import { LONGEST } from './parser';

/** Reference definitions reach across blocks: a text that has some is one block, if it can be one. */
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

export function blocksOf(text: string): readonly string[] {
  return text.length <= LONGEST && DEFINITION.test(text) ? [text] : splitBlocks(text);
}
