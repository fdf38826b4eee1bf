//! What is written past React is exactly the text, in pieces that each are laid out alone.

// @vitest-environment happy-dom

import { expect, it } from 'vitest';
import { TailText } from '../src/tail-text';

const PIECE = 12 * 1024 + 2;

/** The lengths of the pieces: what lies in the element itself, and each span. */
function lengths(element: HTMLElement): number[] {
  const own = [...element.childNodes].filter(node => node.nodeType === 3);
  const spans = [...element.querySelectorAll('span')];
  return [
    own.reduce((sum, node) => sum + (node.textContent ?? '').length, 0),
    ...spans.map(span => span.textContent.length),
  ];
}

const TEXTS = [
  ['short', 'a few words\nin two lines'],
  ['lines', 'a line of some words\n'.repeat(10_000)],
  ['one line', 'word '.repeat(40_000)],
  ['one word', 'w'.repeat(200_000)],
  ['pairs', '😀'.repeat(60_000)],
  ['blank lines', '\n'.repeat(100_000)],
] as const;

it.each(TEXTS)('%s, at once', (_, text) => {
  const element = document.createElement('div');
  new TailText(element).replace(text);
  expect(element.textContent).toBe(text);
  expect(Math.max(...lengths(element))).toBeLessThanOrEqual(PIECE);
});

it.each(TEXTS)('%s, as it arrives', (_, text) => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  tail.replace(text.slice(0, 10));
  for (let at = 10; at < text.length; at += 700) tail.append(text.slice(at, at + 700));
  expect(element.textContent).toBe(text);
  expect(Math.max(...lengths(element))).toBeLessThanOrEqual(PIECE);
});

it('is cut where it is long, however little comes at once', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  for (let at = 0; at < 30_000; at += 1) tail.append('w');
  expect(element.textContent).toHaveLength(30_000);
  expect(Math.max(...lengths(element))).toBeLessThanOrEqual(PIECE);
});

it('a piece within a line has no line end before it', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  tail.replace('word '.repeat(10_000));
  expect(element.querySelector('span')?.style.display).toBe('inline-block');
  tail.replace('a line\n'.repeat(10_000));
  expect(element.querySelector('span')?.style.display).toBe('block');
  tail.replace('short');
  expect(element.innerHTML).toBe('short');
});

it('pieces that share a line are all in it: a copy has a line end before and after a block', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  // The first pieces end with a line, a later one begins with a line that is broken.
  tail.replace('a line\n'.repeat(1_000));
  tail.append('word '.repeat(10_000));
  let begins = element.firstChild?.textContent?.endsWith('\n');
  for (const span of element.querySelectorAll('span')) {
    const ends = span === element.lastElementChild || span.textContent.endsWith('\n');
    expect(span.style.display).toBe(begins && ends ? 'block' : 'inline-block');
    begins = ends;
  }
});
