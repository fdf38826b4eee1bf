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
