//! Starts the page: the client, then React.

import './styles/base.css';
import './styles/layout.css';
import './styles/messages.css';
import './styles/markdown.css';
import { createClient } from '@threadmill/client';
import wasmUrl from '@threadmill/client/core.wasm?url';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { ReportProvider } from './reports';
import { applyStoredTheme } from './sidebar/theme';

async function start(root: HTMLElement): Promise<void> {
  applyStoredTheme();
  const client = await createClient({ wasm: wasmUrl });
  createRoot(root).render(
    <StrictMode>
      <ThreadmillProvider client={client}>
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
if (root) {
  start(root).catch(error => {
    root.textContent = `Threadmill could not start: ${error instanceof Error ? error.message : String(error)}`;
  });
}
