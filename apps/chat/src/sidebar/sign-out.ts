//! Signing out: what this browser keeps for the user goes, and with it every page that shows it.

import type { Client } from '@threadmill/client';
import { forgetProvider } from '../composer/providers';

const CHANNEL = 'threadmill.signed-out';

/** Forgets everything and begins anew. */
export async function signOut(client: Client): Promise<void> {
  await client.signOut();
  forgetProvider();
  if (typeof BroadcastChannel === 'function') new BroadcastChannel(CHANNEL).postMessage('');
  location.assign('/');
}

/** The clients of the other tabs are closed by the one that signs out: their pages begin anew too. */
export function reloadOnSignOut(): void {
  if (typeof BroadcastChannel !== 'function') return;
  new BroadcastChannel(CHANNEL).onmessage = () => location.assign('/');
}
