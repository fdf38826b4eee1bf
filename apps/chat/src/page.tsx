//! The page itself, in React.

import type { EngineStore } from '@threadmill/client';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { ReportProvider } from './reports';
import { reloadOnSignOut } from './sidebar/sign-out';

export function showPage(root: HTMLElement, engine: EngineStore, failed: (error: unknown) => void): void {
  reloadOnSignOut();
  createRoot(root, { onUncaughtError: failed }).render(
    <StrictMode>
      <ThreadmillProvider engine={engine}>
        <ReportProvider>
          <ProvidersProvider>
            <App />
          </ProvidersProvider>
        </ReportProvider>
      </ThreadmillProvider>
    </StrictMode>,
  );
}
