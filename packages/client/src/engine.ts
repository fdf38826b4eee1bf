//! Which engine runs: the sync engine, or the direct one where the server's flag or a core that does not load says so.

import { SyncClient } from './client.js';
import { type CoreModule, loadCore } from './core/core.js';
import { Flags } from './flags.js';
import { Frames, pageFrames } from './page/frames.js';
import { soon, unlessAborted } from './page/promises.js';
import { localStrings } from './storage/local-strings.js';
import { Access, accessOf, closedOf } from './transport/access.js';
import { gauges } from './words/gauge.js';
import type { Client, ClientOptions, Store, SyncStatus, WasmSource } from './words/types.js';

/** Milliseconds that the core may take to load: its 45 KB at 5 KB a second, which is as slow as networks are. */
const CORE_PATIENCE = 10_000;
/** Milliseconds from the start to the first look at what is reported. */
const REPORTS = 10_000;
/** The flag that decides. */
const FLAG = 'scalable-sync';

/**
 * Loads the core and connects. Resolves as soon as threads can be opened, connected or not.
 *
 * With `engine: 'auto'` the engine is the one the flag names now. Use `followEngine` to change it while the page
 * runs.
 */
export async function createClient(given: ClientOptions): Promise<Client> {
  const access = new Access(given);
  const client = await made(given, access);
  // After the start, which needs the network more.
  if (globalThis.document && given.rum !== false) setTimeout(report, REPORTS, client, given.rum);
  return client;
}

function report(client: Client, wanted?: boolean): void {
  const closed = closedOf(client);
  if (closed.aborted) return;
  import('./rum/index.js')
    // Handed over and not imported there: what both imported would be one more file to load at the start.
    .then(rum => rum.startReports({ client, access: accessOf(client), closed, gauges }, wanted))
    // What cannot be loaded is not reported.
    .catch(() => {});
}

async function made(given: ClientOptions, access: Access): Promise<Client> {
  const wanted = given.engine ?? 'auto';
  const known = await access.identify();
  // Nothing is kept for, and nothing is shown to, nobody knows whom.
  const options: ClientOptions = known ? given : { ...given, storage: 'memory', tabs: 'off' };
  if (wanted === 'direct') return direct(options, access);
  const frames = new Frames(pageFrames());
  const flags = new Flags(frames, access, localStrings(options.storage));
  if (wanted === 'auto' && !(await isOn(flags))) return direct(options, access, 'flag_off');
  const module = await coreOf(options.wasm ?? '').catch(() => undefined);
  if (!module) return direct(options, access, 'wasm_failed');
  // The flag may have changed meanwhile.
  if (wanted === 'auto' && !flags.get(FLAG, true)) return direct(options, access, 'flag_off');
  return new SyncClient(options, access, frames, flags, module);
}

/** By source: a response can be read only once. */
const CORES = new Map<unknown, Promise<CoreModule>>();

function coreOf(source: WasmSource | Promise<WasmSource>): Promise<CoreModule> {
  const core = CORES.get(source) ?? inTime(Promise.resolve(source).then(loadCore));
  CORES.set(source, core);
  core.catch(() => CORES.delete(source));
  return core;
}

/** A server may take the request for the core and never answer it: there is another engine. */
function inTime<T>(core: Promise<T>): Promise<T> {
  return unlessAborted(core, AbortSignal.timeout(CORE_PATIENCE));
}

/** A client that is replaced by one of the other engine when the flag changes. */
export interface EngineStore extends Store<Client | undefined> {
  close(): void;
}

/**
 * Creates a client and, whenever the server's flag asks for the other engine, closes it and creates another. The
 * snapshot is the client in use; nothing before the first one.
 *
 * @example
 * const engine = followEngine({ wasm });
 * engine.subscribe(() => show(engine.getSnapshot()));
 */
export function followEngine(
  options: ClientOptions,
  failed: (error: unknown) => void = () => {},
): EngineStore {
  const listeners = new Set<() => void>();
  let client: Client | undefined;
  let closed = false;
  let making = false;
  const make = async () => {
    if (making || closed) return;
    making = true;
    const next = await createClient(options).catch(failed);
    making = false;
    if (!next) return;
    if (closed) return next.close();
    const last = client;
    client = next;
    next.flags.subscribe(() => {
      if (client === next && changes(next)) void make();
    });
    for (const listener of [...listeners]) listener();
    // Those who showed the last one have released it by now.
    last?.close();
  };
  const changes = ({ flags, status }: Client) => {
    if ((options.engine ?? 'auto') !== 'auto') return false;
    const { engine, reason } = status.getSnapshot();
    const on = flags.getSnapshot()[FLAG] ?? true;
    return engine === 'sync' ? !on : on && reason === 'flag_off';
  };
  void make();
  return {
    subscribe: listener => {
      listeners.add(listener);
      return () => {
        listeners.delete(listener);
      };
    },
    getSnapshot: () => client,
    close: () => {
      closed = true;
      client?.close();
    },
  };
}

/** Whether the flag is on, as far as is known in time. */
async function isOn(flags: Flags): Promise<boolean> {
  const asked = flags.refresh().catch(() => {});
  // What the last start knew is good enough for this one: a change comes a moment later.
  if (flags.rev === 0) await soon(asked);
  return flags.get(FLAG, true);
}

async function direct(
  options: ClientOptions,
  access: Access,
  reason?: SyncStatus['reason'],
): Promise<Client> {
  const { createDirectClient } = await import('./direct/index.js');
  return createDirectClient(options, reason, access);
}
