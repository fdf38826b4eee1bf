//! The page itself, in React.

import type { EngineStore } from '@threadmill/client';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { ReportProvider } from './shell/reports';
import { keepShell } from './shell/shell';
import { reloadOnSignOut } from './sidebar/sign-out';

export function showPage(root: HTMLElement, engine: EngineStore, failed: (error: unknown) => void): void {
  reloadOnSignOut();
  keepShell();
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
