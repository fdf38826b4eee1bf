//! One thread in the list: its title, its last words, and what can be done to it.

import type { ThreadSummary } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { type KeyboardEvent, type MouseEvent, memo, useEffect, useRef, useState } from 'react';
import { ConfirmDialog } from '../controls/confirm-dialog';
import { focusIsLost } from '../controls/focus';
import { Icon } from '../controls/icon';
import { threadPath } from '../shell/address';
import { useReport } from '../shell/reports';
import { navigate } from '../shell/route';
import { isoTime, relativeTime } from '../text/relative-time';
import { asName, withoutMarkdown } from '../text/text';
import { usePrefetch } from './prefetch';
import { type Leaving, RenameField } from './rename-field';

interface ThreadItemProps {
  readonly thread: ThreadSummary;
  readonly open: boolean;
  readonly now: number;
  /** Whether the Tab key stops at this one; the arrow keys go to the others. */
  readonly tabStop: boolean;
  onOpen(): void;
}

export const ThreadItem = memo(function ThreadItem(props: ThreadItemProps) {
  const { thread, open, now, tabStop, onOpen } = props;
  const client = useClient();
  const report = useReport();
  const [mode, setMode] = useState<'shown' | 'renaming' | 'deleting'>('shown');
  const follow = (event: MouseEvent) => {
    // A click with a modifier is the browser's: a new tab, a new window.
    if (event.metaKey || event.ctrlKey || event.shiftKey || event.button !== 0) return;
    event.preventDefault();
    navigate(threadPath(thread.id));
    onOpen();
  };
  const link = useRef<HTMLAnchorElement>(null);
  const returning = useRef(false);
  useEffect(() => {
    if (mode !== 'shown' || !returning.current) return;
    returning.current = false;
    // The composer may have it, if the thread that was open is gone.
    if (focusIsLost()) link.current?.focus({ preventScroll: true });
  }, [mode]);
  const leave = (how: Leaving) => {
    returning.current = how === 'key';
    setMode('shown');
  };
  const remove = () => {
    client.deleteThread(thread.id).catch(report);
    if (open) navigate('/');
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === 'F2') setMode('renaming');
    else if (event.key === 'Delete') setMode('deleting');
    else return;
    event.preventDefault();
  };
  const prefetch = usePrefetch(thread.id);
  const title = asName(thread.title) || withoutMarkdown(thread.snippet) || 'Untitled';
  if (mode === 'renaming') return <RenameField thread={thread} onDone={leave} />;
  return (
    <div className="thread-item" data-open={open || undefined}>
      <a
        ref={link}
        href={threadPath(thread.id)}
        tabIndex={tabStop ? 0 : -1}
        onClick={follow}
        onKeyDown={onKeyDown}
        {...(open ? {} : prefetch)}
        aria-current={open ? 'page' : undefined}
        aria-keyshortcuts="F2 Delete"
      >
        <span className="thread-title">
          {thread.running && <span className="running" role="img" aria-label="Answering" />}
          <span className="thread-name" dir="auto">
            {title}
          </span>
          <time dateTime={isoTime(thread.updatedAt)}>{relativeTime(thread.updatedAt, now)}</time>
        </span>
        <span className="thread-snippet" dir="auto">
          {withoutMarkdown(thread.snippet)}
        </span>
      </a>
      <div className="thread-tools">
        <button
          type="button"
          className="icon-button"
          tabIndex={-1}
          aria-label={`Rename ${title}`}
          title="Rename (F2)"
          onClick={() => setMode('renaming')}
        >
          <Icon name="edit" />
        </button>
        <button
          type="button"
          className="icon-button"
          tabIndex={-1}
          aria-label={`Delete ${title}`}
          title="Delete (Del)"
          onClick={() => setMode('deleting')}
        >
          <Icon name="trash" />
        </button>
      </div>
      {mode === 'deleting' && (
        <ConfirmDialog
          open={true}
          title="Delete this thread?"
          text={`“${title}” and all its branches will be gone.`}
          action="Delete"
          onClose={() => leave('key')}
          onConfirm={remove}
        />
      )}
    </div>
  );
});
