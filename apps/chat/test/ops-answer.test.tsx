//! What a section says of a node that does not answer, and that it says nothing while nobody asks.

// @vitest-environment happy-dom

import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { expect, it, vi } from 'vitest';
import { Answer } from '../src/ops/parts/answer';
import { StandingProvider } from '../src/ops/parts/summary-context';

it('claims that nobody answers only while it asks', async () => {
  vi.stubGlobal('fetch', async () => {
    throw new TypeError('no network');
  });
  const place = document.createElement('div');
  const root = createRoot(place);
  const show = (paused: boolean) =>
    flushSync(() =>
      root.render(
        <StandingProvider value={{ summary: undefined, now: 0, here: Date.now(), paused, write: false }}>
          <Answer path="locks" read={() => 0}>
            {() => 'answered'}
          </Answer>
        </StandingProvider>,
      ),
    );
  show(false);
  await vi.waitFor(() => expect(place.textContent).toContain('does not answer'));
  show(true);
  expect(place.textContent).toBe('The page stands still, and nothing had come before.');
  root.unmount();
  vi.unstubAllGlobals();
});
