//! The list of threads on a narrow screen: a drawer over the page. While it is open it has the focus and the page behind
//! it has none; Escape, the browser's Back and a wider screen close it, and the focus returns to where it was opened.

import { type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { ifAllowed } from './browser';

/** Where the list is a drawer; the style sheet says the same. */
const NARROW = '(max-width: 760px)';

/** The mark of the entry of the history that Back leaves to close the drawer. */
interface DrawerEntry {
  readonly drawer: true;
}

/** Whether the entry of the history that is shown is an open drawer's. */
export function isDrawerEntry(state: unknown): state is DrawerEntry {
  return typeof state === 'object' && state !== null && 'drawer' in state;
}

interface Drawer {
  readonly drawer: boolean;
  openDrawer(): void;
  closeDrawer(): void;
  /** For the button that opens it. */
  readonly opener: RefObject<HTMLButtonElement | null>;
}

export function useDrawer(): Drawer {
  const [drawer, setDrawer] = useState(false);
  const opener = useRef<HTMLButtonElement>(null);
  const openDrawer = useCallback(() => {
    // Without an entry the drawer opens too; Back does not close it then.
    if (!isDrawerEntry(history.state))
      ifAllowed(() => history.pushState({ drawer: true } satisfies DrawerEntry, ''));
    setDrawer(true);
  }, []);
  const closeDrawer = useCallback(() => {
    setDrawer(false);
    // The entry goes too. Whoever went to a thread has put that in its place.
    if (isDrawerEntry(history.state)) history.back();
  }, []);
  useEffect(() => {
    if (!drawer) return;
    const narrow = ifAllowed(() => matchMedia(NARROW));
    const onBack = () => !isDrawerEntry(history.state) && setDrawer(false);
    const onWidth = () => narrow?.matches === false && closeDrawer();
    window.addEventListener('popstate', onBack);
    narrow?.addEventListener?.('change', onWidth);
    return () => {
      window.removeEventListener('popstate', onBack);
      narrow?.removeEventListener?.('change', onWidth);
    };
  }, [drawer, closeDrawer]);
  useEffect(() => {
    if (!drawer) return;
    document.querySelector<HTMLElement>('.sidebar .new-thread')?.focus();
    return () => {
      // Not from where a thread that was opened has put it.
      const { activeElement } = document;
      const left =
        activeElement === null || activeElement === document.body || activeElement.closest('.sidebar');
      if (left) opener.current?.focus();
    };
  }, [drawer]);
  return { drawer, openDrawer, closeDrawer, opener };
}
