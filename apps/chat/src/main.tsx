//! Starts the page: the client, then React.

import './styles/base.css';
import './styles/layout.css';
import './styles/messages.css';
import './styles/markdown.css';
import './styles/outbox.css';
import type { ClientOptions } from '@threadmill/client';
import wasmUrl from '@threadmill/client/core.wasm?url';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { ReportProvider } from './reports';
import { reloadOnSignOut } from './sidebar/sign-out';
import { applyStoredTheme } from './sidebar/theme';

/** `?engine=direct` asks for the plain engine, to measure the other one against. */
function clientOptions(): ClientOptions {
  if (new URLSearchParams(location.search).get('engine') === 'direct') return { engine: 'direct' };
  // Under way before anybody asks: the flag that decides about the engine comes meanwhile.
  const wasm = WebAssembly.compileStreaming(fetch(wasmUrl));
  // Whoever waits for it sees to a failure.
  wasm.catch(() => {});
  return { wasm };
}

function start(root: HTMLElement): void {
  applyStoredTheme();
  reloadOnSignOut();
  const failed = (error: unknown) => {
    root.textContent = `Threadmill could not start: ${error instanceof Error ? error.message : String(error)}`;
  };
  createRoot(root, { onUncaughtError: failed }).render(
    <StrictMode>
      <ThreadmillProvider options={clientOptions()}>
        <ReportProvider>
          <ProvidersProvider>
            <App />
          </ProvidersProvider>
        </ReportProvider>
      </ThreadmillProvider>
    </StrictMode>,
  );
}

const root = document.getElementById('root');
if (root) start(root);
