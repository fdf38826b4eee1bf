//! Settled blocks are published in batches; what they do not show yet, the tail shows, exactly.

import type { StreamSink } from '@threadmill/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { BlockStream, wholeLines } from '../src/block-stream';

class FakeElement {
  readonly dataset: Record<string, string> = {};
  text = '';
  append(text: string): void {
    this.text += text;
  }
  replaceChildren(text: string): void {
    this.text = text;
  }
}

function setUp(first = '') {
  let sink: StreamSink | undefined;
  const source = {
    text: () => first,
    attach: (to: StreamSink) => {
      sink = to;
      to.reset(first);
      return () => {
        sink = undefined;
      };
    },
  };
  const stream = new BlockStream(source);
  const element = new FakeElement();
  let renders = 0;
  const unsubscribe = stream.subscribe(() => {
    renders += 1;
    // What the hook does in the commit that shows the blocks.
    stream.writeTail();
  });
  stream.tail(element as unknown as HTMLElement);
  return {
    stream,
    element,
    unsubscribe,
    write: (delta: string) => sink?.append(delta),
    rewrite: (text: string) => sink?.reset(text),
    attached: () => sink !== undefined,
    renders: () => renders,
    shown: () => stream.getSnapshot().join('') + element.text,
  };
}

beforeEach(() => vi.useFakeTimers());
afterEach(() => vi.useRealTimers());

it('shows each character once, in the blocks or in the tail', () => {
  const page = setUp();
  let sent = '';
  for (let n = 0; n < 40; n += 1) {
    const delta = n % 4 === 3 ? ' end.\n\n' : ` word${n}`;
    sent += delta;
    page.write(delta);
    vi.advanceTimersByTime(90);
    expect(page.shown().replace(/\s+/g, '')).toBe(sent.replace(/\s+/g, ''));
  }
  expect(page.stream.getSnapshot().length).toBeGreaterThan(2);
});

it('renders for batches of blocks, never for tokens', () => {
  const page = setUp();
  for (let n = 0; n < 600; n += 1) {
    page.write(n % 60 === 59 ? ' last.\n\n' : ' token');
    vi.advanceTimersByTime(33);
  }
  expect(page.renders()).toBeGreaterThan(3);
  expect(page.renders()).toBeLessThanOrEqual(8);
});

it('starts with what is there, in one publish', () => {
  const page = setUp('one\n\ntwo\n\nthree');
  expect(page.stream.getSnapshot()).toEqual(['one\n\n', 'two\n\n']);
  expect(page.element.text).toBe('three');
  expect(page.renders()).toBeLessThanOrEqual(1);
});

it('marks an open fence and hides its first line', () => {
  const page = setUp();
  for (const delta of ['`', '``', 'ru', 'st\nfn a', '() {}\n']) page.write(delta);
  expect(page.element.dataset.kind).toBe('code');
  expect(page.element.text).toBe('fn a() {}\n');
});

it('lets go of the stream and its timer with the last listener', () => {
  const page = setUp();
  page.write('a\n\nb');
  page.unsubscribe();
  expect(page.attached()).toBe(false);
  expect(vi.getTimerCount()).toBe(0);
});

it('shows the whole lines of a list that still grows, and what follows them in the tail', () => {
  const page = setUp();
  let sent = '';
  for (let n = 1; n <= 120; n += 1) {
    for (const delta of [`${n}. `, `item ${n}`, ' of **many**\n']) {
      sent += delta;
      page.write(delta);
      vi.advanceTimersByTime(60);
      expect(page.shown()).toBe(sent);
    }
  }
  expect(page.stream.getSnapshot()).toHaveLength(1);
  expect(page.stream.getSnapshot()[0]?.split('\n').length).toBeGreaterThan(90);
  expect(page.renders()).toBeLessThanOrEqual(8);
});

it('keeps what it shows of a list that grows beyond what is shown as Markdown', () => {
  let sink: StreamSink | undefined;
  const stream = new BlockStream({
    text: () => '',
    attach: attached => {
      sink = attached;
      attached.reset('');
      return () => {};
    },
  });
  stream.subscribe(() => {});
  let [sent, most] = ['', 0];
  for (let n = 1; n <= 1_500; n += 1) {
    const delta = `${n}. item ${n} of many\n`;
    sent += delta;
    sink?.append(delta);
    vi.advanceTimersByTime(60);
    const growing = stream.getSnapshot()[0] ?? '';
    expect(sent.startsWith(growing)).toBe(true);
    expect(growing.length).toBeGreaterThanOrEqual(most);
    most = growing.length;
  }
  expect(sent.length).toBeGreaterThan(30_000);
  expect(most).toBeGreaterThan(10_000);
});

it('begins anew when the text is another', () => {
  const page = setUp('1. one\n2. two\n\nthree\n\nfour');
  expect(page.stream.getSnapshot()).toHaveLength(2);
  page.rewrite('');
  expect([page.stream.getSnapshot(), page.element.text]).toEqual([[], '']);
  page.rewrite('1. one\ntwo');
  expect([page.stream.getSnapshot(), page.element.text]).toEqual([['1. one\n'], 'two']);
});

it.each([
  ['a\nb', 'a\n'],
  ['no line', ''],
  ['1. a\n2. b\n```js\nlet a;\n', '1. a\n2. b\n'],
  ['1. a\n   ```js\n   let a;\n   ```\n2. b', '1. a\n   ```js\n   let a;\n   ```\n'],
  ['~~~\n```\n', ''],
  [`${'a '.repeat(9_000)}\nb`, ''],
])('of %j, %j may be shown as Markdown', (block, whole) => {
  expect(block.slice(0, wholeLines(block))).toBe(whole);
});
