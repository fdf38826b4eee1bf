//! The page itself, in React.

import type { Client, EngineStore, ServerInfo } from '@threadmill/client';
import { ThreadmillProvider } from '@threadmill/react';
import { StrictMode, useState } from 'react';
import { createRoot } from 'react-dom/client';
import { App } from './app';
import { ProvidersProvider } from './composer/providers';
import { heedHints } from './habits/prefetcher';
import { heed } from './habits/report';
import { ReportProvider } from './shell/reports';
import { keepShell } from './shell/shell';
import { reloadOnSignOut } from './sidebar/sign-out';

/** Milliseconds after which a start says that it is one: most are over by then. The style sheet has the same. */
const LATE = 1_500;

/** What the document says while nothing is there, from the same moment on: the page's script came in between. */
function Starting() {
  const [animationDelay] = useState(() => `${Math.max(0, LATE - performance.now())}ms`);
  return (
    <p className="starting" role="status" style={{ animationDelay }}>
      Threadmill is starting. If this stays, load the page again.
    </p>
  );
}

/** Whether the operator wants to know how the page is used, and what others do. */
function hearInfo({ analytics }: ServerInfo, client: Client): void {
  heedHints(analytics?.hints ?? undefined);
  heed(analytics?.on === true, () => (client.status.getSnapshot().engine === 'sync' ? 'core' : 'direct'));
}

export function showPage(root: HTMLElement, engine: EngineStore, failed: (error: unknown) => void): void {
  reloadOnSignOut();
  keepShell();
  createRoot(root, { onUncaughtError: failed }).render(
    <StrictMode>
      <ThreadmillProvider engine={engine} fallback={<Starting />}>
        <ReportProvider>
          <ProvidersProvider onInfo={hearInfo}>
            <App />
          </ProvidersProvider>
        </ReportProvider>
      </ThreadmillProvider>
    </StrictMode>,
  );
}
