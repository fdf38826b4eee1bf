//! One thread in the list: its title, its last words, and what can be done to it.

import type { ThreadSummary } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { type MouseEvent, memo, useState } from 'react';
import { ConfirmDialog } from '../confirm-dialog';
import { Icon } from '../icon';
import { relativeTime } from '../relative-time';
import { useReport } from '../reports';
import { navigate, threadPath } from '../route';

interface ThreadItemProps {
  readonly thread: ThreadSummary;
  readonly open: boolean;
  readonly now: number;
  onOpen(): void;
}

export const ThreadItem = memo(function ThreadItem({ thread, open, now, onOpen }: ThreadItemProps) {
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
  const remove = () => {
    client.deleteThread(thread.id).catch(report);
    if (open) navigate('/');
  };
  if (mode === 'renaming') return <RenameField thread={thread} onDone={() => setMode('shown')} />;
  return (
    <div className="thread-item" data-open={open || undefined}>
      <a href={threadPath(thread.id)} onClick={follow} aria-current={open ? 'page' : undefined}>
        <span className="thread-title">
          {thread.running && <span className="running" role="img" aria-label="Answering" />}
          <span className="thread-name">{thread.title || thread.snippet || 'Untitled'}</span>
          <time dateTime={new Date(thread.updatedAt).toISOString()}>
            {relativeTime(thread.updatedAt, now)}
          </time>
        </span>
        <span className="thread-snippet">{thread.snippet}</span>
      </a>
      <div className="thread-tools">
        <button
          type="button"
          className="icon-button"
          aria-label={`Rename ${thread.title}`}
          title="Rename"
          onClick={() => setMode('renaming')}
        >
          <Icon name="edit" />
        </button>
        <button
          type="button"
          className="icon-button"
          aria-label={`Delete ${thread.title}`}
          title="Delete"
          onClick={() => setMode('deleting')}
        >
          <Icon name="trash" />
        </button>
      </div>
      {mode === 'deleting' && (
        <ConfirmDialog
          open={true}
          title="Delete this thread?"
          text={`“${thread.title}” and all its branches will be gone.`}
          action="Delete"
          onClose={() => setMode('shown')}
          onConfirm={remove}
        />
      )}
    </div>
  );
});

function RenameField({ thread, onDone }: { thread: ThreadSummary; onDone: () => void }) {
  const client = useClient();
  const report = useReport();
  const [title, setTitle] = useState(thread.title);
  const save = () => {
    const next = title.trim();
    if (next !== '' && next !== thread.title) client.renameThread(thread.id, next).catch(report);
    onDone();
  };
  return (
    <form
      className="thread-item renaming"
      onSubmit={event => {
        event.preventDefault();
        save();
      }}
    >
      <input
        ref={field => field?.focus()}
        aria-label="Title"
        value={title}
        maxLength={200}
        onChange={event => setTitle(event.target.value)}
        onBlur={save}
        onKeyDown={event => {
          if (event.key !== 'Escape') return;
          event.stopPropagation();
          onDone();
        }}
      />
    </form>
  );
}
