//! What is written past React is exactly the text, in pieces that each are laid out alone.

// @vitest-environment happy-dom

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { TailText } from '../src/tail-text';

let frames: Map<number, () => void>;
let asked: number;

beforeEach(() => {
  frames = new Map();
  asked = 0;
  vi.stubGlobal('requestAnimationFrame', (then: () => void) => {
    frames.set(++asked, then);
    return asked;
  });
  vi.stubGlobal('cancelAnimationFrame', (id: number) => frames.delete(id));
});

afterEach(() => vi.unstubAllGlobals());

/** One frame. */
function frame(): void {
  const now = [...frames.values()];
  frames.clear();
  for (const then of now) then();
}

/** All frames until nothing more is written. */
function settle(): void {
  while (frames.size > 0) frame();
}

const PIECE = 6 * 1024 + 2;

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
  settle();
  expect(element.textContent).toBe(text);
  expect(Math.max(...lengths(element))).toBeLessThanOrEqual(PIECE);
});

it.each(TEXTS)('%s, as it arrives', (_, text) => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  tail.replace(text.slice(0, 10));
  for (let at = 10; at < text.length; at += 700) tail.append(text.slice(at, at + 700));
  settle();
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
  settle();
  expect(element.innerHTML).toBe('short');
});

it('pieces that share a line are all in it: a copy has a line end before and after a block', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  // The first pieces end with a line, a later one begins with a line that is broken.
  tail.replace('a line\n'.repeat(1_000));
  tail.append('word '.repeat(10_000));
  settle();
  let begins = element.firstChild?.textContent?.endsWith('\n');
  for (const span of element.querySelectorAll('span')) {
    const ends = span === element.lastElementChild || span.textContent.endsWith('\n');
    expect(span.style.display).toBe(begins && ends ? 'block' : 'inline-block');
    begins = ends;
  }
});

it('writes a megabyte a few pieces a frame, and what comes meanwhile after it', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  const text = 'a line of some words\n'.repeat(50_000);
  const steps: number[] = [];
  const count = () => element.querySelectorAll('span').length;
  tail.replace(text);
  steps.push(count());
  tail.append('and more');
  while (frames.size > 0) {
    const before = count();
    frame();
    steps.push(count() - before);
  }
  expect(element.textContent).toBe(`${text}and more`);
  expect(Math.max(...steps)).toBeLessThanOrEqual(4);
  expect(steps.length).toBeGreaterThan(20);
});

it('writes nothing more of a text that was replaced, or into an element that it has left', () => {
  const element = document.createElement('div');
  const tail = new TailText(element);
  const text = 'word '.repeat(100_000);
  tail.replace(text);
  tail.replace('short');
  settle();
  expect(element.textContent).toBe('short');
  tail.replace(text);
  // The same text again, of which some is shown.
  tail.keep(text);
  settle();
  expect(element.textContent).toBe(text);
  tail.replace(text);
  tail.close();
  new TailText(element).replace('another');
  settle();
  expect(element.textContent).toBe('another');
});
