//! Cutting by bytes, reading past Markdown, and sizes in words.

import { expect, test } from 'vitest';
import { isoTime, relativeTime } from '../src/text/relative-time';
import { asName, cutTo, cutToBytes, glanceOf, sizeInWords, withoutMarkdown } from '../src/text/text';

test('a text is cut by bytes and never inside a character', () => {
  expect(cutToBytes('hello', 512)).toBe('hello');
  expect(cutToBytes('x'.repeat(600), 512)).toHaveLength(512);
  expect(cutToBytes('é'.repeat(300), 511)).toBe('é'.repeat(255));
  expect(cutToBytes('🌱🌱', 7)).toBe('🌱');
});

test('a text is cut by letters and never inside one', () => {
  expect(cutTo('hello', 59)).toBe('hello');
  expect(cutTo(`${'x'.repeat(58)}🌱 and on`, 59)).toBe('x'.repeat(58));
  expect(cutTo(`${'x'.repeat(57)}🌱 and on`, 59)).toBe(`${'x'.repeat(57)}🌱`);
});

test('Markdown marks are left out, words stay', () => {
  expect(withoutMarkdown("Here's a heap: ``` import heapq ```")).toBe("Here's a heap: import heapq");
  expect(withoutMarkdown('```python\nprint(1)\n```')).toBe('print(1)');
  expect(withoutMarkdown('## Title\n- **one** and `two`')).toBe('Title one and two');
  expect(withoutMarkdown('see [the docs](https://example.org/a)')).toBe('see the docs');
  expect(withoutMarkdown('2 * 3 * 4 and snake_case_name')).toBe('2 * 3 * 4 and snake_case_name');
});

test('a name brings no order of its own for its letters', () => {
  expect(asName('\u202efdp.exe')).toBe('fdp.exe');
  expect(asName('a\u2066b\u2069\u200fc\u0000d\r\ne')).toBe('abcd e');
  expect(asName('דוח 2.pdf')).toBe('דוח 2.pdf');
  expect(glanceOf('\u202ea')).toBe('a');
  expect(withoutMarkdown('**\u202eone**')).toBe('one');
});

test('sizes', () => {
  expect(sizeInWords(640)).toBe('640 B');
  expect(sizeInWords(12_000)).toBe('12 KB');
  expect(sizeInWords(1024 * 1024)).toBe('1 MB');
  expect(sizeInWords(1024 * 1024 - 10)).toBe('1 MB');
  expect(sizeInWords(2.5 * 1024 * 1024)).toBe('2.5 MB');
});

test('a time that no calendar has is none', () => {
  for (const time of [Number.NaN, 1e20]) {
    expect(relativeTime(time, 0)).toBe('');
    expect(isoTime(time)).toBe(undefined);
  }
  expect(isoTime(0)).toBe('1970-01-01T00:00:00.000Z');
});
