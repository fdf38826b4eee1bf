//! Who answers: the providers the server offers, and the one chosen.

import type { Client, ServerInfo } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { createContext, type ReactNode, useContext, useEffect, useMemo, useState } from 'react';

import { forgetChoice, storeChoice, storedChoice } from '../shell/choices';

const KEY = 'threadmill.provider';

interface Providers {
  readonly providers: ServerInfo['providers'];
  /** The name chosen by the reader; absent means the server's default. */
  readonly chosen: string | undefined;
  choose(name: string): void;
}

const Context = createContext<Providers>({ providers: [], chosen: undefined, choose: () => {} });

/** The providers, and the one in use. */
export function useProviders(): Providers {
  return useContext(Context);
}

/** The user signs out: the choice goes. */
export function forgetProvider(): void {
  forgetChoice(KEY);
}

interface ProvidersProviderProps {
  readonly children: ReactNode;
  /** Hears what the server says of itself, once a client. */
  onInfo(info: ServerInfo, client: Client): void;
}

export function ProvidersProvider({ children, onInfo }: ProvidersProviderProps) {
  const client = useClient();
  const [providers, setProviders] = useState<ServerInfo['providers']>([]);
  const [wanted, setWanted] = useState(() => storedChoice(KEY));
  useEffect(() => {
    let gone = false;
    // Without the list the default still answers; the connection state says what is wrong.
    client.info().then(
      info => {
        if (gone) return;
        setProviders(info.providers);
        onInfo(info, client);
      },
      () => {},
    );
    return () => {
      gone = true;
    };
  }, [client, onInfo]);
  const value = useMemo(() => {
    const chosen = providers.some(provider => provider.name === wanted) ? wanted : undefined;
    const choose = (name: string) => {
      storeChoice(KEY, name);
      setWanted(name);
    };
    return { providers, chosen, choose };
  }, [providers, wanted]);
  return <Context value={value}>{children}</Context>;
}

/** One quiet line: who answers, and what to know about it. */
export function ProviderNote() {
  const { providers, chosen, choose } = useProviders();
  const current = providers.find(provider => provider.name === chosen) ?? providers[0];
  if (!current) return <div className="provider-note" />;
  const replay = current.name === 'replay';
  const note = current.note ?? (replay ? 'Answers are replayed from a corpus; no model is asked.' : '');
  return (
    <div className="provider-note">
      {providers.length > 1 ? (
        <select aria-label="Who answers" value={current.name} onChange={event => choose(event.target.value)}>
          {providers.map(provider => (
            <option key={provider.name} value={provider.name}>
              {provider.title}
            </option>
          ))}
        </select>
      ) : null}
      <span>{note}</span>
    </div>
  );
}
