//! Thumbs whose answers come in another order than they were chosen.

// @vitest-environment happy-dom

import { flushSync } from 'react-dom';
import { createRoot, type Root } from 'react-dom/client';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { ProblemDialog } from '../src/controls/problem-dialog';
import { type ThreadActions, ThreadActionsProvider } from '../src/parts/thread-actions';
import { Thumbs } from '../src/row/thumbs';

let place: HTMLElement;
let root: Root;

beforeEach(() => {
  place = document.body.appendChild(document.createElement('div'));
  root = createRoot(place);
});

afterEach(() => root.unmount());

const buttons = () => [...place.querySelectorAll('button')];
const pressed = () => buttons().map(button => button.getAttribute('aria-pressed'));

it('one that fails leaves another alone that was chosen meanwhile', async () => {
  const fails: ((error: Error) => void)[] = [];
  const judge = () => new Promise<void>((_, fail) => fails.push(fail));
  flushSync(() =>
    root.render(
      <ThreadActionsProvider value={{ judge } as unknown as ThreadActions}>
        <Thumbs messageId="m" />
      </ThreadActionsProvider>,
    ),
  );
  expect(place.querySelector('dialog')).toBeNull();
  flushSync(() => buttons()[0]?.click());
  flushSync(() => buttons()[1]?.click());
  fails[0]?.(new Error('no'));
  await new Promise(done => setTimeout(done, 10));
  expect(pressed()).toEqual(['false', 'true', null]);
});

it('a report has no more bytes than the server takes', () => {
  flushSync(() => root.render(<ProblemDialog open onClose={() => {}} onSend={async () => {}} />));
  const area = place.querySelector('textarea') as HTMLTextAreaElement;
  const write = Object.getOwnPropertyDescriptor(HTMLTextAreaElement.prototype, 'value')?.set;
  write?.call(area, 'ä'.repeat(1_500));
  flushSync(() => area.dispatchEvent(new InputEvent('input', { bubbles: true })));
  expect(area.value).toBe('ä'.repeat(1_000));
});
