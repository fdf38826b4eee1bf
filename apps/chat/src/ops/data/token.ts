//! The ops token: in this tab's session storage alone, so that it is gone with the tab. Where the browser keeps none, in
//! memory.

import { ifAllowed } from '../../shell/browser';

const KEY = 'threadmill.ops-token';

let memory: string | undefined;

export function storedToken(): string | undefined {
  return memory ?? ifAllowed(() => window.sessionStorage.getItem(KEY));
}

/** Keeps a token, or forgets it. */
export function storeToken(token: string | undefined): void {
  memory = undefined;
  const kept = ifAllowed(() => {
    if (token === undefined) window.sessionStorage.removeItem(KEY);
    else window.sessionStorage.setItem(KEY, token);
    return true;
  });
  if (!kept) memory = token;
}
