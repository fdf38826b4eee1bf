//! What would take long to lay out as one is drawn in pieces that are laid out alone; the text stays the same.

// @vitest-environment happy-dom

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { renderToStaticMarkup } from 'react-dom/server';
import { expect, it } from 'vitest';
import { MarkdownBlock } from '../src/markdown/markdown';
import { takeParser } from '../src/markdown/parser';
import { isCostly, isQuick, lettersWeight } from '../src/text/layout-cost';
import { piecesOf } from '../src/text/plain-text';
import { DrawnWhole } from '../src/turns/turns';

takeParser(new WebAssembly.Module(readFileSync(join(import.meta.dirname, '../wasm/markdown.wasm'))));

const SIZE = 60_000;
const fill = (unit: string) => unit.repeat(Math.ceil(SIZE / unit.length)).slice(0, SIZE);
const THAI = 'สวัสดีครับ';
const MOST = 8 * 1024;

/** The document of a Markdown text. */
function drawn(source: string): HTMLElement {
  const root = document.createElement('div');
  root.innerHTML = renderToStaticMarkup(
    <DrawnWhole value={true}>
      <MarkdownBlock source={source} />
    </DrawnWhole>,
  );
  return root;
}

/** The letters that each element lays out as one: its own, and those of what is inline in it. */
function laidOut(root: HTMLElement): number[] {
  const blocks = [...root.querySelectorAll('p, h2, td, li, .inline-piece, .plain-piece, code')];
  return blocks.map(block => {
    const own = block.cloneNode(true) as HTMLElement;
    for (const inner of own.querySelectorAll('p, ul, .inline-piece, .plain-piece')) inner.remove();
    return own.textContent.length;
  });
}

it.each([
  ['Thai', fill(THAI)],
  ['Thai with emphasis', fill(`${THAI}**${THAI}** `)],
  ['letters of both directions', fill('a ب ')],
  ['emphasis around all of it', `**${fill(THAI)}**`],
  ['an item of a list', `- ${fill(THAI)}\n- b\n  - ${THAI}`],
  ['a heading', `# ${fill('aب')}`],
  ['a cell', `|a|\n|-|\n|${fill(THAI)}|`],
  ['code in a line', `a \`${fill('aب')}\``],
  ['code without colours', `\`\`\`\n${fill(THAI)}\n\`\`\``],
  ['raw HTML', `<div>${fill(THAI)}`],
])('%s comes in pieces, and says the same', (_, source) => {
  const root = drawn(source);
  expect(Math.max(...laidOut(root))).toBeLessThanOrEqual(MOST);
  const letters = (text: string) => text.replace(/[^\p{L}\p{M}]/gu, '');
  expect(letters(root.textContent)).toContain(letters(source));
});

it('a blank between two pieces is between them, and a copy has it', () => {
  const words = fill(`${THAI} `);
  const root = drawn(words);
  expect(root.querySelectorAll('.inline-piece').length).toBeGreaterThan(5);
  expect(root.textContent).toBe(words);
  for (const piece of root.querySelectorAll('.inline-piece')) expect(piece.textContent).not.toMatch(/^ | $/);
});

it('nor is a blank lost between what is emphasised and what is not', () => {
  for (const length of [1, 5, 40]) {
    const root = drawn(fill(`**${THAI.repeat(length)}** and ${THAI.repeat(length)} `).trim());
    for (const piece of root.querySelectorAll('.inline-piece'))
      expect(piece.textContent).not.toMatch(/^ | $/);
  }
});

it('text that people write is one paragraph as before', () => {
  for (const text of [
    fill('word ').slice(0, 16_000),
    fill(`${THAI} `).slice(0, 6_000),
    fill('שלום ').slice(0, 6_000),
  ])
    expect(drawn(text).querySelector('.inline-piece, .plain-piece')).toBe(null);
});

it('letters that change their direction one by one are in pieces sooner, and in shorter ones', () => {
  const root = drawn(fill('aب').slice(0, 7_000));
  const pieces = [...root.querySelectorAll('.inline-piece')];
  expect(pieces.length).toBeGreaterThan(2);
  for (const piece of pieces) expect(piece.textContent?.length).toBeLessThanOrEqual(3 * 1024);
  expect(root.textContent).toBe(fill('aب').slice(0, 7_000));
  expect(drawn(fill('aب').slice(0, 4_000)).querySelector('.inline-piece')).toBe(null);
});

it('a cell is in pieces long before a paragraph is', () => {
  const cell = (letters: string) => drawn(`|a|\n|-|\n|${letters}|`).querySelector('td .inline-piece');
  expect(cell(fill(THAI).slice(0, 600))).not.toBe(null);
  expect(cell(fill(THAI).slice(0, 400))).toBe(null);
  expect(cell(fill('word '))).toBe(null);
});

it('no piece begins in the middle of a letter', () => {
  for (const text of [fill('กำ้'), fill('ក្រុ'), fill('👩‍👩‍👧'), fill('x\u0301')])
    for (const { text: piece } of piecesOf(text))
      expect(piece).not.toMatch(/^(?:\p{M}|\u200d|[\udc00-\udfff])/u);
});

it('a field is asked to hold what it can lay out with each key', () => {
  expect(isQuick(fill('word '))).toBe(true);
  expect(isQuick(fill('مرحبا بالعالم '))).toBe(true);
  expect(isQuick(fill(`${THAI} `))).toBe(true);
  expect(isQuick(fill(THAI))).toBe(false);
  expect(isQuick(fill('a ب '))).toBe(false);
  expect(isQuick(fill('a\u202bb\u202c'))).toBe(false);
});

it('costly letters weigh the square of their number', () => {
  expect(isCostly(fill('word '))).toBe(false);
  expect(lettersWeight(fill('word ').slice(0, 8_000))).toBe(80);
  expect(lettersWeight(fill(THAI).slice(0, 8_000))).toBe(1_536);
});
