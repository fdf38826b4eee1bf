//! The quiet buttons under a message.

import type { Row } from '@threadmill/client';
import { CopyButton } from '../controls/copy-button';
import { Icon, type IconName } from '../controls/icon';
import { useThreadActions } from '../parts/thread-actions';
import { isoTime, relativeTime } from '../text/relative-time';
import { useAfterPaint } from '../turns/after-paint';
import { Thumbs } from './thumbs';

/** They come after the text has been painted; their place is kept. */
export function RowActions({ row }: { row: Row }) {
  return useAfterPaint() ? <Actions row={row} /> : null;
}

function Actions({ row }: { row: Row }) {
  const { edit, regenerate, askRemove, wholeText } = useThreadActions();
  const hasText = row.parts.some(part => part.type === 'text');
  const when = new Date(row.createdAt);
  return (
    <div className="row-actions">
      {hasText && <CopyButton text={() => wholeText(row)} label="Copy message" />}
      {row.role === 'user' && hasText && (
        <Action icon="edit" label="Edit message" onClick={() => edit(row.id)} />
      )}
      {row.role === 'assistant' && (
        <Action icon="again" label="Answer again" onClick={() => regenerate(row)} />
      )}
      <Action icon="trash" label="Delete message" onClick={() => askRemove(row)} />
      {row.role === 'assistant' && <Thumbs messageId={row.id} />}
      <time
        dateTime={isoTime(row.createdAt)}
        onPointerEnter={event => {
          // In the reader's words, which take milliseconds to find.
          event.currentTarget.title = when.toLocaleString();
        }}
      >
        {relativeTime(row.createdAt, Date.now())}
      </time>
    </div>
  );
}

function Action({ icon, label, onClick }: { icon: IconName; label: string; onClick: () => void }) {
  return (
    <button type="button" className="icon-button" aria-label={label} title={label} onClick={onClick}>
      <Icon name={icon} />
    </button>
  );
}
