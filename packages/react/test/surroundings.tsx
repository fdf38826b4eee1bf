//! A page for the hooks: React in a DOM, frames that come when the test says so, and the real client over the built
//! core and the fake server.

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Client, type ClientOptions, createClient } from '@threadmill/client';
import { act, type ReactNode, StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { expect, vi } from 'vitest';
import { ThreadmillProvider } from '../src/index.js';
import { FakeServer } from './fake-server.js';

const wasm = readFileSync(join(import.meta.dirname, '../../client/wasm/threadmill.wasm'));

/** For a client alone in its tab that keeps nothing. */
export const OPTIONS: ClientOptions = {
  url: 'http://server.test',
  wasm,
  storage: 'memory',
  tabs: 'off',
};

let frames: FrameRequestCallback[] = [];
let time = 0;

/** Takes the place of the browser's frames and network. */
export function surround(length = 0): FakeServer {
  vi.stubGlobal('IS_REACT_ACT_ENVIRONMENT', true);
  frames = [];
  vi.stubGlobal('requestAnimationFrame', (callback: FrameRequestCallback) => frames.push(callback));
  const server = new FakeServer(length);
  server.install();
  return server;
}

/** The next frame: all that waited for one, and after 40 ms the text of streams too. */
export function frame(after = 40): Promise<void> {
  return act(async () => {
    // What a task has left to do is done before the next frame.
    await Promise.resolve();
    const due = frames;
    frames = [];
    time += after;
    for (const callback of due) callback(time);
  });
}

/** What was asked of the network comes; no frame does. */
export function settle(): Promise<void> {
  return act(async () => {
    await new Promise(resolve => setTimeout(resolve, 5));
  });
}

/** Lets frames pass until it is so. */
export async function until(what: () => boolean): Promise<void> {
  for (let tries = 0; tries < 200 && !what(); tries++) {
    await settle();
    await frame();
  }
  expect(what()).toBe(true);
}

export async function connected(options: Partial<ClientOptions> = {}): Promise<Client> {
  const client = await createClient({ ...OPTIONS, ...options });
  await until(() => client.status.getSnapshot().connection === 'live');
  return client;
}

/** Renders below a provider, in strict mode. Returns what takes it away. */
export async function show(client: Client, node: ReactNode): Promise<() => Promise<void>> {
  const root = createRoot(document.createElement('div'));
  await act(async () =>
    root.render(
      <StrictMode>
        <ThreadmillProvider client={client}>{node}</ThreadmillProvider>
      </StrictMode>,
    ),
  );
  return () => act(async () => root.unmount());
}
