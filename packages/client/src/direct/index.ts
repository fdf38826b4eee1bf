//! The direct engine's own entry: bundlers keep it apart from the rest, and load it when it is needed.

import { Access } from '../transport/access.js';
import type { Client, ClientOptions, SyncStatus } from '../words/types.js';
import { DirectClient } from './client.js';

/**
 * A client that polls whole threads over HTTP. `options.wasm` is not used.
 *
 * `reason` is shown in its status: why it stands in for the other engine, if it does.
 */
export function createDirectClient(
  options: ClientOptions = {},
  reason?: SyncStatus['reason'],
  access = new Access(options),
): Client {
  return new DirectClient(options, { access, ...(reason && { reason }) });
}
