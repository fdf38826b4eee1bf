//! A row that cannot be drawn is shown as text, and nothing else is lost with it: not its neighbours, not the composer
//! nor what was typed.

// @vitest-environment happy-dom

import type { Row, ThreadHandle } from '@threadmill/client';
import { act, type ReactNode } from 'react';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MessageRow } from '../src/row/message-row';
import { Boundary, Guarded } from '../src/shell/boundary';
import { PlainText } from '../src/text/plain-text';

let root: HTMLElement;

beforeEach(() => {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  vi.spyOn(console, 'error').mockImplementation(() => {});
  root = document.createElement('div');
});

afterEach(() => {
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});

async function show(content: ReactNode) {
  const failed: unknown[] = [];
  const mounted = createRoot(root, { onUncaughtError: error => failed.push(error) });
  await act(async () => mounted.render(content));
  return { failed, again: (next: ReactNode) => act(async () => mounted.render(next)) };
}

/** A row as a server of another release, or an import, might make it. */
function row(id: string, parts: unknown[]): Row {
  return { id, role: 'user', parts, depth: 0, status: 'complete', rev: 1, createdAt: 0 } as unknown as Row;
}

const draw = (one: Row) => (
  <MessageRow
    key={one.id}
    row={one}
    handle={{} as ThreadHandle}
    observe={() => {}}
    last={false}
    editing={false}
  />
);

it('a row that throws shows its text and a word', async () => {
  const { failed } = await show(
    <>
      {draw(row('a', [{ type: 7 }, { type: 'text', text: 'the words of it' }, null]))}
      <textarea defaultValue="typed" />
    </>,
  );
  expect(failed).toEqual([]);
  const shown = root.querySelector('[data-row="a"]');
  expect(shown?.textContent).toContain('the words of it');
  expect(shown?.querySelector('[data-notice="row"]')).not.toBeNull();
  expect(root.querySelector('textarea')?.value).toBe('typed');
});

it('a row without anything to show says that', async () => {
  const { failed } = await show(draw(row('a', [{ type: 7 }])));
  expect(failed).toEqual([]);
  expect(root.textContent).toContain('cannot be shown');
});

function Brittle({ fails }: { fails: boolean }) {
  if (fails) throw new Error('a defect');
  return <span>whole</span>;
}

it('what failed is tried again for another value', async () => {
  const view = (of: number, fails: boolean) => (
    <Boundary of={of} instead={() => <i>instead</i>}>
      <Brittle fails={fails} />
    </Boundary>
  );
  const { again, failed } = await show(view(1, true));
  expect(root.textContent).toBe('instead');
  await again(view(1, false));
  expect(root.textContent).toBe('instead');
  await again(view(2, false));
  expect(root.textContent).toBe('whole');
  expect(failed).toEqual([]);
});

it('a place that failed has a button to try again', async () => {
  let fails = true;
  function Place() {
    return <Brittle fails={fails} />;
  }
  await show(
    <Guarded what="The list">
      <Place />
    </Guarded>,
  );
  expect(root.textContent).toContain('The list cannot be shown.');
  fails = false;
  await act(async () => root.querySelector('button')?.click());
  expect(root.textContent).toBe('whole');
});

it('a text that becomes longer is shown to its end', async () => {
  const text = (lines: number) => 'a line of words\n'.repeat(lines);
  const { again } = await show(<PlainText text={text(300)} />);
  await again(<PlainText text={text(10_000)} />);
  await vi.waitFor(async () => {
    await act(async () => new Promise(done => setTimeout(done, 20)));
    expect(root.textContent?.length).toBe(text(10_000).length);
  }, 10_000);
  expect(root.querySelector('button')).toBeNull();
});
