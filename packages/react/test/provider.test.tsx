//! The provider and what is beside threads: who owns the client, flags, the status, and that hooks come one by one.

// @vitest-environment happy-dom

import { type Client, createClient, followEngine } from '@threadmill/client';
import { act, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { renderToString } from 'react-dom/server';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { ThreadmillProvider, useClient, useFlag, useSyncStatus, useThreads } from '../src/index.js';
import type { FakeServer } from './fake-server.js';
import { connected, frame, OPTIONS, settle, show, surround, until } from './surroundings.js';

let server: FakeServer;

beforeEach(() => {
  server = surround();
});

afterEach(() => {
  vi.unstubAllGlobals();
});

it('says what to do where there is no provider', () => {
  for (const use of [useClient, useThreads, useSyncStatus, () => useFlag('a', true)]) {
    function Probe() {
      use();
      return null;
    }
    expect(() => renderToString(<Probe />)).toThrow(/wrap the app in <ThreadmillProvider options/);
  }
});

/** A page whose provider makes the client. */
async function owned(options = OPTIONS) {
  const seen: Client[] = [];
  function Probe() {
    const client = useClient();
    if (seen.at(-1) !== client) seen.push(client);
    return <p>{useSyncStatus().engine}</p>;
  }
  const element = document.createElement('div');
  const root = createRoot(element);
  await act(async () =>
    root.render(
      <StrictMode>
        <ThreadmillProvider options={options} fallback={<i>wait</i>}>
          <Probe />
        </ThreadmillProvider>
      </StrictMode>,
    ),
  );
  return { seen, element, root };
}

it('makes one client in strict mode, shows the fallback before, and closes it', async () => {
  const { seen, element, root } = await owned();
  expect(element.innerHTML).toBe('<i>wait</i>');
  await until(() => seen[0]?.status.getSnapshot().connection === 'live');
  expect(element.innerHTML).toBe('<p>sync</p>');
  expect(seen.length).toBe(1);
  expect(server.connections).toBe(1);
  await act(async () => root.unmount());
  await settle();
  expect(server.sockets.size).toBe(0);
});

it('shows the client of an engine that was under way before, and leaves it open', async () => {
  const engine = followEngine(OPTIONS);
  await until(() => engine.getSnapshot()?.status.getSnapshot().connection === 'live');
  const seen: Client[] = [];
  function Probe() {
    seen.push(useClient());
    return null;
  }
  const root = createRoot(document.createElement('div'));
  const tree = (
    <ThreadmillProvider engine={engine} fallback={<i>wait</i>}>
      <Probe />
    </ThreadmillProvider>
  );
  await act(async () => root.render(tree));
  expect(seen).toEqual([engine.getSnapshot()]);
  await act(async () => root.unmount());
  await settle();
  expect(server.sockets.size).toBe(1);
  engine.close();
});

it('changes the engine with the flag, and closes the one before', async () => {
  const { seen, element, root } = await owned();
  await until(() => seen[0]?.status.getSnapshot().connection === 'live');
  server.flags = { 'scalable-sync': false };
  for (const socket of server.sockets) socket.hear([12, [2]]);
  await until(() => element.innerHTML === '<p>direct</p>');
  expect(seen.length).toBe(2);
  await settle();
  expect(server.sockets.size).toBe(0);
  await act(async () => root.unmount());
});

it('renders the fallback on the server, and connects nowhere', async () => {
  const page = renderToString(
    <ThreadmillProvider options={OPTIONS} fallback={<i>wait</i>}>
      <b>app</b>
    </ThreadmillProvider>,
  );
  expect(page).toBe('<i>wait</i>');
  await settle();
  expect(server.requests).toEqual([]);
});

it('throws to an error boundary if there can be no client', async () => {
  const root = createRoot(document.createElement('div'), { onUncaughtError: () => {} });
  const shown = act(async () =>
    root.render(
      <ThreadmillProvider options={{ ...OPTIONS, url: 'http://' }}>
        <b>app</b>
      </ThreadmillProvider>,
    ),
  );
  await expect(shown).rejects.toThrow('Invalid URL');
});

it('tells flags apart from those the server does not know', async () => {
  server.flags = { 'scalable-sync': true, 'known-off': false };
  const client = await connected();
  let flags: boolean[] = [];
  function Probe() {
    flags = [useFlag('known-off', true), useFlag('unknown', true), useFlag('toString', false)];
    return null;
  }
  await show(client, <Probe />);
  expect(flags).toEqual([false, true, false]);
  server.flags = { 'scalable-sync': true, 'known-off': true };
  for (const socket of server.sockets) socket.hear([12, [2]]);
  await until(() => flags[0] === true);
  client.close();
});

it('shows what the server says of its mode, and that a new connection starts with nothing missing', async () => {
  const client = await connected();
  const modes: unknown[] = [];
  function Probe() {
    modes.push(useSyncStatus().mode);
    return null;
  }
  await show(client, <Probe />);
  expect(new Set(modes)).toEqual(new Set(['full']));
  for (const [number, mode] of [
    [1, 'degraded'],
    [2, 'read-only'],
  ] as const) {
    for (const socket of server.sockets) socket.hear([13, [number]]);
    await until(() => modes.at(-1) === mode);
  }
  for (const socket of server.sockets) socket.close();
  await until(() => client.status.getSnapshot().connection !== 'live');
  await until(() => client.status.getSnapshot().connection === 'live');
  expect(client.status.getSnapshot()).not.toHaveProperty('error');
  await until(() => modes.at(-1) === 'full');
  client.close();
});

it('shows no state that does not last, if that is asked for', async () => {
  const client = await connected();
  const shown = { smooth: [] as string[], plain: [] as string[] };
  function Probe() {
    shown.smooth.push(useSyncStatus({ smooth: true }).connection);
    shown.plain.push(useSyncStatus().connection);
    return null;
  }
  await show(client, <Probe />);
  vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
  try {
    for (const socket of server.sockets) socket.close();
    await act(async () => {});
    await frame();
    expect(shown.plain.at(-1)).toBe('reconnecting');
    await act(() => vi.advanceTimersByTimeAsync(499));
    expect(shown.smooth.at(-1)).toBe('live');
    await act(() => vi.advanceTimersByTimeAsync(2));
    expect(new Set(shown.smooth).size).toBeLessThanOrEqual(2);
    expect(shown.smooth.at(-1)).toBe(shown.plain.at(-1));
  } finally {
    vi.useRealTimers();
    client.close();
  }
});

it('works over a client that the caller made', async () => {
  const client = await createClient({ ...OPTIONS, engine: 'direct' });
  let engine = '';
  function Probe() {
    engine = useSyncStatus().engine;
    return null;
  }
  const hide = await show(client, <Probe />);
  expect(engine).toBe('direct');
  await hide();
  client.close();
});
