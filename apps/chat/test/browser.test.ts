//! A browser that forbids, lacks or empties something, and storage that holds anything: the page's own modules go on.

// @vitest-environment happy-dom

import { afterEach, expect, it, vi } from 'vitest';

afterEach(() => {
  vi.unstubAllGlobals();
  vi.resetModules();
  localStorage.clear();
});

/** Asking for it is forbidden. */
function forbid(target: object, name: string): () => void {
  const own = Object.getOwnPropertyDescriptor(target, name);
  Object.defineProperty(target, name, {
    configurable: true,
    get: () => {
      throw new DOMException('denied', 'SecurityError');
    },
  });
  return () => {
    if (own) Object.defineProperty(target, name, own);
    else Reflect.deleteProperty(target, name);
  };
}

it('asks, and takes no for an answer', async () => {
  const allow = [
    forbid(navigator, 'serviceWorker'),
    forbid(globalThis, 'caches'),
    forbid(globalThis, 'matchMedia'),
    forbid(globalThis, 'BroadcastChannel'),
    forbid(window, 'localStorage'),
  ];
  vi.stubEnv('PROD', true);
  try {
    const { isMedia } = await import('../src/shell/browser');
    expect(isMedia('print')).toBe(undefined);
    const { forgetShell, keepShell } = await import('../src/shell/shell');
    keepShell();
    await forgetShell();
    const { reloadOnSignOut } = await import('../src/sidebar/sign-out');
    reloadOnSignOut();
    const { typesOnScreen } = await import('../src/controls/keys');
    expect(typesOnScreen()).toBe(false);
    const { storeChoice, storedChoice } = await import('../src/shell/choices');
    storeChoice('k', 'v');
    expect(storedChoice('k')).toBe('v');
    const { notePlace, openingOf } = await import('../src/shell/places');
    notePlace('t', { branch: 'b' });
    expect(openingOf('t', undefined)).toEqual({ branch: 'b' });
  } finally {
    vi.unstubAllEnvs();
    for (const back of allow) back();
  }
});

it.each([
  '',
  '{',
  'null',
  '7',
  '{"length":2}',
  '[null,7,[],["t"],["t",{},[],"x"]]',
  '[["t","","",0]]',
  '[["t",null,"m",1e400]]',
  '[["t",null,"m",-5e9]]',
  `["${'x'.repeat(300_000)}",["t","b"]]`,
])('places that are none, %.40s, are no place', async stored => {
  localStorage.setItem('threadmill.places', stored);
  const { openingOf, notePlace } = await import('../src/shell/places');
  expect(openingOf('t', undefined)).toEqual({});
  notePlace('t', { branch: 'b' });
  expect(openingOf('t', undefined)).toEqual({ branch: 'b' });
});

it('goes where the reader wants also where the browser takes no entry of its history', async () => {
  const { navigate, useRoute } = await import('../src/shell/route');
  const { renderHook, act } = await hooks();
  const shown = renderHook(useRoute);
  for (const name of ['pushState', 'replaceState'] as const)
    vi.spyOn(history, name).mockImplementation(() => {
      throw new DOMException('too many', 'SecurityError');
    });
  act(() => navigate('/t/one?m=two'));
  expect(shown.now()).toEqual({ threadId: 'one', messageId: 'two' });
  act(() => navigate('/'));
  expect(shown.now()).toEqual({ threadId: undefined, messageId: undefined });
  vi.restoreAllMocks();
  act(() => navigate('/t/three'));
  expect([shown.now().threadId, location.pathname]).toEqual(['three', '/t/three']);
  shown.end();
});

/** Draws a component that asks a hook. */
async function hooks() {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  const { act, createElement } = await import('react');
  const { createRoot } = await import('react-dom/client');
  const renderHook = <T>(hook: () => T) => {
    let last: T;
    const root = createRoot(document.createElement('div'));
    const Asks = () => {
      last = hook();
      return null;
    };
    act(() => root.render(createElement(Asks)));
    return { now: () => last, end: () => act(() => root.unmount()) };
  };
  return { renderHook, act };
}
