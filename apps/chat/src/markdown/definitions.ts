//! Definitions of links that nothing in the text uses: Markdown shows nothing of them, and they may be all that a message
//! says, such as its sources.

import type { MarkNode } from './ops';

/** A definition's line, its label, and the address in it. */
const DEFINITION = /^ {0,3}(\[([^\]\n]+)\]:[ \t]*<?([^\s>]+).*)$/gm;
/** `[label]`, `[label][]` or `[text][label]`; not `[text](address)`. What a backslash escapes is skipped. */
const REFERENCE = /\\.|\[([^[\]]{1,999})\](?:\[([^[\]]{0,999})\]|(?!\())/g;

/** The lines of those definitions, as they were written. Cost: each letter is looked at a few times. */
export function unusedDefinitions(source: string, nodes: readonly MarkNode[]): readonly string[] {
  if (!source.includes(']:')) return [];
  const found = [...source.matchAll(DEFINITION)];
  if (found.length === 0) return [];
  const addresses = new Set<string>();
  const letters: string[] = [];
  const code: string[] = [];
  look(nodes, addresses, letters, code);
  const labels = labelsIn(source.replace(DEFINITION, ''));
  // What stands in code refers to nothing.
  for (const [label, times] of labelsIn(code.join('\n'))) labels.set(label, (labels.get(label) ?? 0) - times);
  // In code, or in the middle of a paragraph, such a line is none and is shown.
  const lines = new Set(
    letters
      .join('')
      .split('\n')
      .map(line => line.trim()),
  );
  return found.flatMap(([, line = '', label = '', address = '']) =>
    addresses.has(address) || (labels.get(folded(label)) ?? 0) > 0 || lines.has(line.trim())
      ? []
      : [line.trim()],
  );
}

/** A label as labels are compared. */
function folded(label: string): string {
  return label.trim().replace(/\s+/g, ' ').toLowerCase();
}

/** What is referred to, and how often. */
function labelsIn(text: string): Map<string, number> {
  const labels = new Map<string, number>();
  for (const [, words, label] of text.matchAll(REFERENCE)) {
    if (words === undefined) continue;
    const of = folded(label || words);
    labels.set(of, (labels.get(of) ?? 0) + 1);
  }
  return labels;
}

function look(nodes: readonly MarkNode[], addresses: Set<string>, letters: string[], code: string[]): void {
  for (const node of nodes) {
    if ('address' in node) addresses.add(node.address);
    if (node.kind === 'codeSpan') code.push(node.text);
    if (node.kind === 'codeBlock') code.push(node.code);
    if ('children' in node) look(node.children, addresses, letters, code);
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
