//! The page kept by the browser, so that it starts without a network: the service worker's side of the page.

const PREFIX = 'threadmill-shell-';

/** Has the browser keep the page, once it has loaded: nothing is fetched for it before. */
export function keepShell(): void {
  // On plain http there are no workers, and the development server has nothing to keep.
  if (!import.meta.env.PROD || !('serviceWorker' in navigator)) return;
  const register = () => {
    // Not kept, not offline: all else works.
    navigator.serviceWorker.register('/sw.js', { updateViaCache: 'none' }).catch(() => {});
  };
  if (document.readyState === 'complete') setTimeout(register);
  else window.addEventListener('load', () => setTimeout(register), { once: true });
}

/** The user signs out: the browser keeps nothing. */
export async function forgetShell(): Promise<void> {
  try {
    const workers = await navigator.serviceWorker?.getRegistrations();
    await Promise.all((workers ?? []).map(worker => worker.unregister()));
    const names = (await globalThis.caches?.keys()) ?? [];
    await Promise.all(names.filter(name => name.startsWith(PREFIX)).map(name => caches.delete(name)));
  } catch {
    // Where storage is forbidden, nothing was kept.
  }
}
