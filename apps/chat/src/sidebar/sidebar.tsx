//! The side of the page: new thread, filter, threads, and below them the connection and the theme.
//!
//! Room `sidebar`: the list of threads and what belongs to the whole page: menu, notices, outbox, connection. It knows
//! no open thread.

import { useThreads } from '@threadmill/react';
import { useEffect, useState } from 'react';
import { Icon, Mark } from '../controls/icon';
import { ThemeToggle } from '../controls/theme-toggle';
import { navigate } from '../shell/route';
import { useAfterPaint } from '../turns/after-paint';
import { SETTLE, useSettled } from '../turns/settled';
import { ConnectionNote } from './connection-note';
import { MoreMenu } from './more-menu';
import { Notices } from './notices';
import { ThreadList } from './thread-list';

const MINUTE = 60_000;
/** No title is longer, and the server is asked in an address. */
const LONGEST = 512;
/** Of the switcher. */
const KEYS = /mac/i.test(navigator.platform) ? '⌘K' : 'Ctrl K';

interface SidebarProps {
  readonly current: string | undefined;
  /** Whether the drawer is open, on a narrow screen. */
  readonly drawer: boolean;
  onClose(): void;
  onSearch(): void;
}

export function Sidebar({ current, drawer, onClose, onSearch }: SidebarProps) {
  const [filter, setFilter] = useState('');
  const title = useSettled(filter.trim(), SETTLE);
  const list = useThreads(title === '' ? {} : { title });
  const now = useMinute();
  const after = useAfterPaint();
  const fresh = () => {
    navigate('/');
    onClose();
  };
  return (
    <section
      className="sidebar"
      data-drawer={drawer || undefined}
      aria-label="Your threads"
      {...(drawer ? { role: 'dialog', 'aria-modal': true } : { role: 'complementary' })}
    >
      <header className="sidebar-head">
        <h1>
          <Mark />
          Threadmill
        </h1>
        <button
          type="button"
          className="icon-button drawer-only"
          aria-label="Close the list"
          onClick={onClose}
        >
          <Icon name="close" />
        </button>
      </header>
      <button type="button" className="new-thread" onClick={fresh}>
        <Icon name="plus" />
        New thread
      </button>
      <div className="filter">
        <Icon name="search" />
        <input
          type="search"
          placeholder="Filter"
          aria-label="Filter threads by title"
          maxLength={LONGEST}
          value={filter}
          onChange={event => setFilter(event.target.value)}
          onKeyDown={event => {
            if (event.key !== 'ArrowDown') return;
            event.preventDefault();
            document.querySelector<HTMLElement>('.thread-list a[tabindex="0"]')?.focus();
          }}
        />
        <button type="button" className="key-hint" aria-label={`Switch thread, ${KEYS}`} onClick={onSearch}>
          {KEYS}
        </button>
      </div>
      {after ? (
        <ThreadList list={list} current={current} filtered={title !== ''} now={now} onOpen={onClose} />
      ) : (
        <div className="thread-list" />
      )}
      <Notices />
      <footer className="sidebar-foot">
        <ConnectionNote />
        <ThemeToggle />
        <MoreMenu />
      </footer>
    </section>
  );
}

/** The time, renewed each minute, for "5 min". */
function useMinute(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), MINUTE);
    return () => clearInterval(timer);
  }, []);
  return now;
}
