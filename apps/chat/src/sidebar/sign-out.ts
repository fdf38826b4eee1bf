//! Signing out: what this browser keeps for the user goes, and with it every page that shows it.

import type { Client } from '@threadmill/client';
import { forgetProvider } from '../composer/providers';
import { forgetHabits } from '../habits/memory';
import { forgetArm } from '../habits/report';
import { ifAllowed } from '../shell/browser';
import { forgetPlaces } from '../shell/places';
import { forgetShell } from '../shell/shell';

/** One for both directions: a page does not hear itself. */
let others: BroadcastChannel | undefined;

/** Forgets everything and begins anew. Rejects, after all else is forgotten, if something of it could not be. */
export async function signOut(client: Client): Promise<void> {
  try {
    await client.signOut();
  } finally {
    forgetProvider();
    forgetPlaces();
    forgetHabits();
    forgetArm();
    await forgetShell();
  }
  others?.postMessage('');
  location.assign('/');
}

/** The clients of the other tabs are closed by the one that signs out: their pages begin anew too. */
export function reloadOnSignOut(): void {
  others = ifAllowed(() => new BroadcastChannel('threadmill.signed-out'));
  // Where there is none each page forgets by itself.
  if (others) others.onmessage = () => location.assign('/');
}
