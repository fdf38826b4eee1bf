//! The page: threads at the side, the open one in the middle.

import { useCallback, useEffect, useState } from 'react';
import { KeptComposer } from './composer/kept-composer';
import { NEW, StartView } from './composer/start-view';
import { Icon } from './controls/icon';
import { isComposed } from './controls/keys';
import { printThread } from './print/command';
import { Boundary, Guarded } from './shell/boundary';
import { ConnectionMark } from './shell/connected';
import { useDrawer } from './shell/drawer';
import { usePageTitle } from './shell/page-title';
import { useRoute } from './shell/route';
import { Sidebar } from './sidebar/sidebar';
import { Switcher } from './sidebar/switcher';
import { ThreadView } from './thread/thread-view';

export function App() {
  const { threadId, messageId } = useRoute();
  const [switching, setSwitching] = useState(false);
  const { drawer, openDrawer, closeDrawer, opener } = useDrawer();
  const openSwitcher = useCallback(() => setSwitching(true), []);
  usePageKeys(openSwitcher, closeDrawer);
  return (
    <div className="page">
      <ConnectionMark />
      <a className="skip" href="#main" inert={drawer}>
        Skip to messages
      </a>
      <Guarded what="The list of threads">
        <Sidebar current={threadId} drawer={drawer} onClose={closeDrawer} onSearch={openSwitcher} />
      </Guarded>
      <button
        type="button"
        className="scrim"
        data-shown={drawer || undefined}
        aria-label="Close the list"
        tabIndex={-1}
        onClick={closeDrawer}
      />
      <div className="middle" inert={drawer}>
        <header className="top-bar drawer-only">
          <button
            ref={opener}
            type="button"
            className="icon-button"
            aria-label="Show threads"
            aria-expanded={drawer}
            onClick={openDrawer}
          >
            <Icon name="menu" />
          </button>
          <TopTitle />
          <button type="button" className="icon-button" aria-label="Switch thread" onClick={openSwitcher}>
            <Icon name="search" />
          </button>
        </header>
        <Boundary of={threadId} instead={() => <KeptComposer place={threadId ?? NEW} />}>
          {threadId === undefined ? (
            <StartView />
          ) : (
            <ThreadView key={threadId} threadId={threadId} messageId={messageId} />
          )}
        </Boundary>
      </div>
      <Guarded what="The search">
        <Switcher open={switching} onClose={() => setSwitching(false)} />
      </Guarded>
    </div>
  );
}

function TopTitle() {
  return (
    <h1 className="top-title" dir="auto">
      {usePageTitle()}
    </h1>
  );
}

function usePageKeys(openSwitcher: () => void, closeDrawer: () => void): void {
  useEffect(() => {
    const onKey = (event: KeyboardEvent) => {
      if ((event.ctrlKey || event.metaKey) && event.key.toLowerCase() === 'k') {
        event.preventDefault();
        openSwitcher();
      } else if ((event.ctrlKey || event.metaKey) && !event.shiftKey && !event.altKey && event.key === 'p') {
        // The browser's own printing would have to stand still while the thread is read.
        if (printThread()) event.preventDefault();
      } else if (event.key === 'Escape' && !isComposed(event)) closeDrawer();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [openSwitcher, closeDrawer]);
}
