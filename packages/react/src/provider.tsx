//! Puts a client within reach of the hooks.

import { type Client, type ClientOptions, type EngineStore, followEngine } from '@threadmill/client';
import {
  createContext,
  type ReactNode,
  useContext,
  useEffect,
  useRef,
  useState,
  useSyncExternalStore,
} from 'react';

const ClientContext = createContext<Client | undefined>(undefined);

/** A client or an engine that the caller owns and closes, or the options to make one. */
export type ThreadmillProviderProps = { readonly children: ReactNode } & (
  | { readonly client: Client; readonly engine?: never; readonly options?: never; readonly fallback?: never }
  | {
      readonly client?: never;
      /** What `followEngine` gave: the client may be under way before React is. */
      readonly engine: EngineStore;
      readonly options?: never;
      /** Shown until there is a client, and on the server. */
      readonly fallback?: ReactNode;
    }
  | {
      readonly client?: never;
      readonly engine?: never;
      /** Read once. The client is closed when the provider is unmounted. */
      readonly options: ClientOptions;
      /** Shown until there is a client, and on the server. */
      readonly fallback?: ReactNode;
    }
);

/**
 * Gives the hooks below it a client. With `options` it makes one, follows the server's choice of the engine, and
 * throws to the nearest error boundary if there can be none. With `engine` the caller does that.
 *
 * @example
 * <ThreadmillProvider options={{ wasm: wasmUrl }} fallback={<p>Loading</p>}><App /></ThreadmillProvider>
 */
export function ThreadmillProvider(props: ThreadmillProviderProps) {
  const { client, engine, options, fallback, children } = props;
  if (client) return <ClientContext value={client}>{children}</ClientContext>;
  if (engine) return <FollowedClient {...{ engine, fallback, children }} />;
  return <OwnClient {...{ options, fallback, children }} />;
}

interface Shown {
  readonly fallback: ReactNode;
  readonly children: ReactNode;
}

function OwnClient({ options, fallback, children }: { readonly options: ClientOptions } & Shown) {
  const client = useOwnClient(options);
  return client ? <ClientContext value={client}>{children}</ClientContext> : fallback;
}

function FollowedClient({ engine, fallback, children }: { readonly engine: EngineStore } & Shown) {
  const client = useSyncExternalStore(engine.subscribe, engine.getSnapshot, () => undefined);
  return client ? <ClientContext value={client}>{children}</ClientContext> : fallback;
}

/** The client in use, made once the component is mounted. */
function useOwnClient(options: ClientOptions): Client | undefined {
  const [state, setState] = useState<{ client?: Client; error?: unknown }>({});
  const first = useRef(options);
  const held = useRef<{ engine: EngineStore; closing?: ReturnType<typeof setTimeout> }>(undefined);
  useEffect(() => {
    clearTimeout(held.current?.closing);
    held.current ??= { engine: followEngine(first.current, error => setState(last => ({ error, ...last }))) };
    const { engine } = held.current;
    const show = () => {
      const client = engine.getSnapshot();
      if (client) setState({ client });
    };
    show();
    const forget = engine.subscribe(show);
    return () => {
      forget();
      // Strict mode mounts again at once, and goes on with the same client.
      if (held.current) held.current.closing = setTimeout(close);
    };
    function close() {
      engine.close();
      held.current = undefined;
    }
  }, []);
  if (state.error !== undefined && !state.client) throw state.error;
  return state.client;
}

/** The client of the nearest provider, for calls that no hook covers. */
export function useClient(): Client {
  const client = useContext(ClientContext);
  if (!client) {
    throw new Error(
      'No Threadmill client: wrap the app in <ThreadmillProvider options={{ wasm }}> or <ThreadmillProvider client={client}>.',
    );
  }
  return client;
}
