//! The page itself, in React.

import type { EngineStore } from '@threadmill/client';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { ReportProvider } from './reports';
import { keepShell } from './shell';
import { reloadOnSignOut } from './sidebar/sign-out';

/** What the document says while nothing is there, a while later: most starts are over by then. */
function Starting() {
  return (
    <p className="starting" role="status">
      Threadmill is starting. If this stays, load the page again.
    </p>
  );
}

export function showPage(root: HTMLElement, engine: EngineStore, failed: (error: unknown) => void): void {
  reloadOnSignOut();
  keepShell();
  createRoot(root, { onUncaughtError: failed }).render(
    <StrictMode>
      <ThreadmillProvider engine={engine} fallback={<Starting />}>
        <ReportProvider>
          <ProvidersProvider>
            <App />
          </ProvidersProvider>
        </ReportProvider>
      </ThreadmillProvider>
    </StrictMode>,
  );
}
