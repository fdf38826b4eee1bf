//! A field has one kind of line end; what was not edited keeps its own.

import { expect, it } from 'vitest';
import { withLineEnds } from '../src/row/line-ends';

/** What a field makes of a text. */
const field = (text: string) => text.replace(/\r\n?/g, '\n');

it('keeps the ends of all lines when a word is edited', () => {
  const before = 'one\r\ntwo\r\nthree\r\n';
  expect(withLineEnds(before, field(before).replace('two', '2'))).toBe('one\r\n2\r\nthree\r\n');
  expect(withLineEnds(before, field(before))).toBe(before);
  expect(withLineEnds(before, 'one\ntwo\nand a half\nthree\n')).toBe('one\r\ntwo\r\nand a half\r\nthree\r\n');
  expect(withLineEnds(before, '')).toBe('');
});

it('leaves each line of a mixed text its own, old and new', () => {
  const before = 'a\nb\r\nc\rd\ne\r\n\r\nf';
  expect(withLineEnds(before, field(before).replace('d', 'D'))).toBe(before.replace('d', 'D'));
  // Two places at once, and as many lines between them as before.
  const edited = field(before).replace('a', 'A').replace('f', 'F');
  expect(withLineEnds(before, edited)).toBe(before.replace('a', 'A').replace('f', 'F'));
  expect(withLineEnds(before, field(before).replace('e\n\n', 'e\n'))).toBe('a\nb\r\nc\rd\ne\r\nf');
});

it('changes no letter of a text without them, nor the end of a text of which the field shows the beginning', () => {
  expect(withLineEnds('a\nb', 'a\nc\n')).toBe('a\nc\n');
  const before = `start\r\n${'line\r\n'.repeat(5_000)}`;
  const [shown, rest] = [before.slice(0, 700), before.slice(700)];
  expect(withLineEnds(before, field(shown).replace('start', 'begin') + rest)).toBe(
    before.replace('start', 'begin'),
  );
});

it('is right for any edit of any text', () => {
  const letters = ['a', 'b', '\n', '\r\n', '\r', '😀'];
  let seed = 7;
  const draw = (below: number) => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const text = (length: number) => Array.from({ length }, () => letters[draw(letters.length)]).join('');
  for (let turn = 0; turn < 3_000; turn += 1) {
    const before = text(draw(12));
    const shown = field(before);
    const [from, to] = [draw(shown.length + 1), draw(shown.length + 1)].sort((a, b) => a - b);
    const edited = shown.slice(0, from) + field(text(draw(4))) + shown.slice(to);
    const saved = withLineEnds(before, edited);
    expect(field(saved)).toBe(edited);
    if (edited === shown) expect(saved).toBe(before);
  }
});
