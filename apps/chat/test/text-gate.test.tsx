//! Whatever brings a text into a field, the field has no more than it can lay out, and nothing is lost.

// @vitest-environment happy-dom

import { useRef, useState } from 'react';
import { flushSync } from 'react-dom';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, expect, it } from 'vitest';
import { useLongText } from '../src/composer/long-text';
import { arrivalOf, LONGEST } from '../src/controls/text-gate';

let draft = '';
let root: Root | undefined;
let typed = '';

function Field() {
  const area = useRef<HTMLTextAreaElement>(null);
  const [text, setText] = useState('');
  draft = text;
  const long = useLongText(area, text, setText);
  typed = long.typed;
  return <textarea ref={area} value={long.typed} {...long.gate} />;
}

function field(): HTMLTextAreaElement {
  const place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
  const now = root;
  flushSync(() => now.render(<Field />));
  return place.querySelector('textarea') as HTMLTextAreaElement;
}

afterEach(() => root?.unmount());

const write = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value')?.set;

/** As the browser does it: the field has the text, and says so. */
function becomes(area: HTMLTextAreaElement, text: string): void {
  write?.call(area, text);
  flushSync(() => area.dispatchEvent(new InputEvent('input', { bubbles: true })));
}

/** Says that a text comes; whether the browser is to put it in. */
function comes(area: HTMLTextAreaElement, data: string, inputType: string): boolean {
  const event = new InputEvent('beforeinput', { data, inputType, cancelable: true, bubbles: true });
  let goes = true;
  flushSync(() => {
    goes = area.dispatchEvent(event);
  });
  return goes;
}

const MANY = 'a line of it\n'.repeat(3_000);

it.each(['insertFromPaste', 'insertFromYank', 'insertReplacementText', 'insertFromDrop'])(
  '%s, many large ones in a row: the field stays short',
  type => {
    const area = field();
    let wanted = '';
    for (let times = 0; times < 6; times += 1) {
      if (comes(area, MANY, type)) becomes(area, area.value + MANY);
      wanted += MANY;
      expect(typed.length).toBeLessThanOrEqual(LONGEST);
    }
    expect(draft.replaceAll('\n', '')).toBe(wanted.replaceAll('\n', ''));
  },
);

it('what only is there afterwards is taken out again, and what was typed stays', () => {
  const area = field();
  becomes(area, 'before  after');
  becomes(area, `before ${'x'.repeat(LONGEST)} after`);
  expect([typed, draft]).toEqual(['before  after', `before  after\n\n${'x'.repeat(LONGEST)}`]);
});

it('letters typed into a full field, and beside what is held, stay where they were typed', () => {
  const area = field();
  becomes(area, 'x'.repeat(LONGEST));
  for (const key of 'abc') becomes(area, area.value + key);
  expect(typed).toBe(`${'x'.repeat(LONGEST)}abc`);
  comes(area, MANY, 'insertFromPaste');
  for (const key of 'def') becomes(area, area.value + key);
  expect(typed).toBe(`${'x'.repeat(LONGEST)}abcdef`);
  expect(draft).toBe(`${'x'.repeat(LONGEST)}abcdef\n\n${MANY}`);
});

it('finds what is new in a text', () => {
  expect(arrivalOf('abc', 'abXYc')).toEqual({ before: 'ab', text: 'XY', after: 'c' });
  expect(arrivalOf('aaa', 'aaaa')).toEqual({ before: 'aaa', text: 'a', after: '' });
  expect(arrivalOf('', 'x')).toEqual({ before: '', text: 'x', after: '' });
});
