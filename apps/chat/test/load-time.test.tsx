//! From when the time until a thread is shown is counted.

// @vitest-environment happy-dom

import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { expect, it, vi } from 'vitest';

const measured = vi.hoisted(() => vi.fn());
vi.mock('@threadmill/client', async load => ({ ...(await load<object>()), measured }));

it.each([
  ['/t/one', 60_000],
  ['/', 0],
])('a page that was opened at %s', async (path, expected) => {
  vi.resetModules();
  vi.stubGlobal('location', { pathname: path, search: '' });
  vi.spyOn(performance, 'now').mockReturnValue(60_000);
  const { useLoadTime } = await import('../src/thread/use-load-time');
  function Thread() {
    useLoadTime(true);
    return null;
  }
  const root = createRoot(document.createElement('div'));
  flushSync(() => root.render(<Thread />));
  await vi.waitFor(() => expect(measured).toHaveBeenLastCalledWith('load', expected));
  root.unmount();
  vi.restoreAllMocks();
  vi.unstubAllGlobals();
});
