//! Blocks do not depend on how the text was cut into deltas, and settled blocks never change.

import { describe, expect, it } from 'vitest';
import { BlockSplitter, splitBlocks } from '../src/block-splitter';
import { waitFor } from '../src/block-stream';

const LINES = [
  'plain words',
  '',
  '',
  '```rust',
  '```',
  '~~~~',
  '  ```',
  '- item',
  '  - nested',
  '12. numbered',
  '    indented',
  '\ttabbed',
  '> quote',
  '***',
  '___',
  '# heading',
  '<!-- open',
  'close -->',
  '<pre>',
  '</pre>',
  '| a | b |',
  '-not an item',
  '-',
  '1',
  '   ',
  'äöü 🙂',
];

/** A small seeded generator: a failing case can be run again. */
function random(seed: number): (n: number) => number {
  let state = seed;
  return n => {
    state = (state * 1_664_525 + 1_013_904_223) % 4_294_967_296;
    return Math.floor((state / 4_294_967_296) * n);
  };
}

function cutUp(text: string, next: (n: number) => number): string[] {
  const deltas: string[] = [];
  for (let at = 0; at < text.length; ) {
    const length = 1 + next(9);
    deltas.push(text.slice(at, at + length));
    at += length;
  }
  return deltas;
}

describe('any split of the text gives the same blocks', () => {
  it.each(Array.from({ length: 400 }, (_, seed) => seed))('seed %i', seed => {
    const next = random(seed);
    const text = Array.from({ length: 3 + next(30) }, () => LINES[next(LINES.length)]).join('\n');
    const whole = splitBlocks(text);
    const splitter = new BlockSplitter();
    let before: readonly string[] = [];
    for (const delta of cutUp(text, next)) {
      splitter.push(delta);
      expect(splitter.settled.slice(0, before.length)).toEqual(before);
      before = [...splitter.settled];
    }
    expect(splitter.finish()).toEqual(whole);
    expect(whole.join('').trimEnd()).toBe(text.trimEnd());
  });
});

describe('where blocks end', () => {
  it.each([
    ['a\n\nb', ['a\n\n', 'b']],
    ['a\nb', ['a\nb']],
    ['- a\n\n- b\n\nc', ['- a\n\n- b\n\n', 'c']],
    ['```\na\n\nb\n```\nc', ['```\na\n\nb\n```\n', 'c']],
    ['1. a\n\n   b\n\nc', ['1. a\n\n   b\n\n', 'c']],
    ['<!-- a\n\nb -->\n\nc', ['<!-- a\n\nb -->\n\n', 'c']],
    ['a\n\n    code\n\n    code\n\nb', ['a\n\n    code\n\n    code\n\n', 'b']],
    ['', []],
    ['\n\n', []],
  ])('%j', (text, blocks) => expect(splitBlocks(text)).toEqual(blocks));

  it('settles a paragraph with the first letter of the next', () => {
    const splitter = new BlockSplitter();
    splitter.push('one\n\n');
    expect(splitter.settled).toEqual([]);
    splitter.push('t');
    expect(splitter.settled).toEqual(['one\n\n']);
    expect(splitter.tail).toBe('t');
  });
});

it('a long answer of many paragraphs is published at most ten times in twenty seconds', () => {
  // A block every 800 ms, as at 30 tokens a second; each publish takes all that wait.
  let last = 0;
  let publishes = 0;
  for (let now = 0, waiting = 0; now <= 20_000; now += 100) {
    if (now % 800 === 0) waiting += 1;
    if (waiting === 0 || now - last < waitFor(waiting, publishes)) continue;
    publishes += 1;
    last = now;
    waiting = 0;
  }
  expect(publishes).toBeGreaterThan(3);
  expect(publishes).toBeLessThanOrEqual(8);
});

describe('cost', () => {
  // In pieces as a model sends them. When each piece looked at what there was, this took ten seconds and more.
  it.each([
    ['one line', 'word '.repeat(160_000)],
    ['one block of lines', 'some words\n'.repeat(70_000)],
    ['blanks', ' '.repeat(800_000)],
    ['blank lines', '\n'.repeat(400_000)],
    ['an open fence', `\`\`\`\n${'let a;\n'.repeat(110_000)}`],
    ['a list', '- item\n'.repeat(110_000)],
  ])('800 kB of %s: linear', (_, text) => {
    const splitter = new BlockSplitter();
    const started = performance.now();
    for (let at = 0; at < text.length; at += 20) splitter.push(text.slice(at, at + 20));
    expect(performance.now() - started).toBeLessThan(3_000);
    expect(splitter.settled.join('') + splitter.tail).toBe(text);
  });
});
