//! Puts a client within reach of the hooks.

import type { Client } from '@threadmill/client';
import { createContext, type ReactNode, useContext } from 'react';

const ClientContext = createContext<Client | undefined>(undefined);

/**
 * Gives the hooks below it a client. The caller owns the client and closes it.
 *
 * @example
 * const client = await createClient({ wasm: wasmUrl });
 * root.render(<ThreadmillProvider client={client}><App /></ThreadmillProvider>);
 */
export function ThreadmillProvider({ client, children }: { client: Client; children: ReactNode }) {
  return <ClientContext value={client}>{children}</ClientContext>;
}

/** The client of the nearest provider, for calls that no hook covers. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) {
    throw new Error('No Threadmill client: wrap the app in <ThreadmillProvider client={client}>.');
  }
  return client;
}
