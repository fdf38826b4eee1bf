//! The page kept by the browser, so that it starts without a network: the service worker's side of the page.

import { ifAllowed } from './browser';

const PREFIX = 'threadmill-shell-';

/** Has the browser keep the page, once it has loaded: nothing is fetched for it before. */
export function keepShell(): void {
  // On plain http there are no workers, and the development server has nothing to keep.
  const workers = ifAllowed(() => navigator.serviceWorker);
  if (!import.meta.env.PROD || !workers) return;
  const register = () => {
    // Not kept, not offline: all else works.
    ifAllowed(() => workers.register('/sw.js', { updateViaCache: 'none' }))?.catch(() => {});
  };
  if (document.readyState === 'complete') setTimeout(register);
  else window.addEventListener('load', () => setTimeout(register), { once: true });
}

/** The user signs out: the browser keeps nothing. */
export async function forgetShell(): Promise<void> {
  try {
    const workers = await ifAllowed(() => navigator.serviceWorker)?.getRegistrations();
    await Promise.all((workers ?? []).map(worker => worker.unregister()));
    const kept = ifAllowed(() => globalThis.caches);
    const names = (await kept?.keys()) ?? [];
    await Promise.all(names.filter(name => name.startsWith(PREFIX)).map(name => kept?.delete(name)));
  } catch {
    // Where storage is forbidden, nothing was kept.
  }
}
