//! Places in a text that is shown differently.

import { describe, expect, it } from 'vitest';
import { carry, carryEnd } from '../src/list/text-place';

/** Where the `|` of `before` is, it is in `after`. */
function check(before: string, after: string): void {
  const [from, to] = [before.indexOf('|'), after.indexOf('|')];
  const [was, now] = [before.replace('|', ''), after.replace('|', '')];
  const at = carry(was, now, from);
  expect(`${now.slice(0, at)}|${now.slice(at)}`).toBe(`${now.slice(0, to)}|${now.slice(to)}`);
}

describe('a place in Markdown', () => {
  it.each([
    ['is the same in the same text', 'one two |three', 'one two |three four'],
    ['passes over marks', 'a **bold** and _slanted_ |word', 'a bold and slanted |word'],
    ['passes over the numbers of a list', '1. one\n2. two\n3. |three', 'one\ntwo\n|three'],
    ['is in the item that is numbered', '1. Item 1\n2. Item 2\n12. Item |12', 'Item 1\nItem 2\nItem |12'],
    ['passes over addresses', 'see [the page](https://page.example/the) |then', 'see the page |then'],
    ['passes over what only the new text has', '```rust\nlet |a = 1;\n```', 'rustCopylet |a = 1;'],
    ['is at the next letter if its own is gone', 'a [b](https://x|y.example) c', 'a b |c'],
    ['of other scripts too', '**Привет** и «|мир»', 'Привет и «|мир»'],
    ['and of emoji', '- 😀 **a**\n- 😀 |b', '😀 a\n😀 |b'],
    ['is the end if nothing follows', 'one |two', 'one |'],
  ])('%s', (_, before, after) => check(before, after));

  it.each([
    ['a **b** [c d |e| f', 'a b c d |e| f'],
    ['1. **one |two** three |four', 'one |two three |four'],
    ['- **a** |(b) |c', 'a |(b) |c'],
    ['- |a **b**|', '|a b|'],
  ])('%s: what is selected is the same', (before, after) => {
    const [from, to] = [before.indexOf('|'), before.lastIndexOf('|') - 1];
    const [was, now] = [before.replaceAll('|', ''), after.replaceAll('|', '')];
    const ends = [carryEnd(was, now, from, 'first'), carryEnd(was, now, to, 'last')] as const;
    expect(`${now.slice(0, ends[0])}|${now.slice(...ends)}|${now.slice(ends[1])}`).toBe(after);
  });

  it('is found in a long text, and costs little', () => {
    const items = Array.from(
      { length: 4_000 },
      (_, n) => `item ${n} of **many** [more](https://example.com/${n})`,
    );
    const source = items.map((item, n) => `${n + 1}. ${item}`).join('\n');
    const shown = items.map((_, n) => `item ${n} of many more`).join('\n');
    const at = carry(source, shown, source.indexOf('item 3999'));
    expect(shown.slice(at).startsWith('item 3999')).toBe(true);
  });
});
