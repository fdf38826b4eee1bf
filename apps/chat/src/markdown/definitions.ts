//! Definitions of links that nothing in the text uses: Markdown shows nothing of them, and they may be all that a message
//! says, such as its sources.

import type { MarkNode } from './ops';

/** A definition's line, and the address in it. */
const DEFINITION = /^ {0,3}(\[[^\]\n]+\]:[ \t]*<?([^\s>]+).*)$/gm;

/** The lines of those definitions, as they were written. Cost: each letter is looked at a few times. */
export function unusedDefinitions(source: string, nodes: readonly MarkNode[]): readonly string[] {
  if (!source.includes(']:')) return [];
  const found = [...source.matchAll(DEFINITION)];
  if (found.length === 0) return [];
  const addresses = new Set<string>();
  const letters: string[] = [];
  look(nodes, addresses, letters);
  // In code, or in the middle of a paragraph, such a line is none and is shown.
  const lines = new Set(
    letters
      .join('')
      .split('\n')
      .map(line => line.trim()),
  );
  return found.flatMap(([, line = '', address = '']) =>
    addresses.has(address) || lines.has(line.trim()) ? [] : [line.trim()],
  );
}

function look(nodes: readonly MarkNode[], addresses: Set<string>, letters: string[]): void {
  for (const node of nodes) {
    if ('address' in node) addresses.add(node.address);
    if ('children' in node) look(node.children, addresses, letters);
    else if (node.kind === 'codeBlock') letters.push('\n', node.code, '\n');
    else if ('text' in node) letters.push(node.text);
    if (BLOCKS.has(node.kind)) letters.push('\n');
  }
}

const BLOCKS: ReadonlySet<MarkNode['kind']> = new Set([
  'paragraph',
  'heading',
  'item',
  'tableCell',
  'rawBlock',
]);
