//! What the reader has chosen on this device: strings that outlive the page, or the page's memory where the browser
//! keeps none. Site data may be blocked, and then even naming `localStorage` throws.

import { ifAllowed } from './browser';

const memory = new Map<string, string>();

/** What was chosen under this key. */
export function storedChoice(key: string): string | undefined {
  return memory.get(key) ?? attempt(storage => storage.getItem(key)) ?? undefined;
}

/** Remembers a choice. */
export function storeChoice(key: string, value: string): void {
  const stored = attempt(storage => {
    storage.setItem(key, value);
    return true;
  });
  if (stored) memory.delete(key);
  else memory.set(key, value);
}

/** Nothing is chosen any more. */
export function forgetChoice(key: string): void {
  memory.delete(key);
  attempt(storage => storage.removeItem(key));
}

function attempt<T>(act: (storage: Storage) => T | null): T | undefined {
  return ifAllowed(() => window.localStorage && act(window.localStorage));
}
