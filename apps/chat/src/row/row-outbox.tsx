//! What a row says of a write that concerns it and that the server does not have yet.

import type { OutboxItem, OutboxKind, Row } from '@threadmill/client';
import { useSyncStatus } from '@threadmill/react';
import { CopyButton } from '../controls/copy-button';
import { useThreadActions } from '../parts/thread-actions';
import { isConnected } from '../shell/connected';
import { words } from '../shell/reports';
import { useSettled } from '../turns/settled';

/** Milliseconds that words stand at least: a try that fails again is not worth other ones. */
const STEADY = 600;

/** What is under way; what it is called while it waits; and while it waits for the connection. */
const DOING: ReadonlyMap<string, readonly [string, string, string]> = new Map<
  OutboxKind,
  readonly [string, string, string]
>([
  ['create', ['Sending', 'Waiting to be sent', 'Will be sent when the connection is back']],
  ['send', ['Sending', 'Waiting to be sent', 'Will be sent when the connection is back']],
  ['edit', ['Saving the edit', 'Waiting to be saved', 'Will be saved when the connection is back']],
  ['regenerate', ['Asking again', 'Waiting to ask again', 'Asks again when the connection is back']],
  ['remove', ['Deleting', 'Waiting to be deleted', 'Will be deleted when the connection is back']],
  ['stop', ['Stopping', 'Waiting to stop', 'Stops when the connection is back']],
  ['rename', ['Renaming', 'Waiting to be renamed', 'Will be renamed when the connection is back']],
  ['archive', ['Archiving', 'Waiting to be archived', 'Will be archived when the connection is back']],
  ['delete', ['Deleting', 'Waiting to be deleted', 'Will be deleted when the connection is back']],
]);

/** The state of a write that is not over, in a few words. */
export function pendingWords({ kind, state }: OutboxItem, connected: boolean): string {
  return DOING.get(kind)?.[!connected ? 2 : state === 'pending' ? 1 : 0] ?? 'Waiting';
}

const WHAT: ReadonlyMap<string, string> = new Map<OutboxKind, string>([
  ['create', 'New thread'],
  ['send', 'Message'],
  ['edit', 'Edit'],
  ['regenerate', 'Another answer'],
  ['remove', 'Deleting a message'],
  ['stop', 'Stopping an answer'],
  ['rename', 'New title'],
  ['archive', 'Archiving a thread'],
  ['delete', 'Deleting a thread'],
]);

/** What a write is; a kind that only a later release knows is a change. */
export const whatOf = ({ kind }: OutboxItem) => WHAT.get(kind) ?? 'A change';

const FAILED: ReadonlyMap<string, string> = new Map<OutboxKind, string>([
  ['create', 'Not sent.'],
  ['send', 'Not sent.'],
  ['edit', 'The edit was not saved.'],
  ['regenerate', 'No other answer was asked for.'],
  ['remove', 'Not deleted.'],
  ['rename', 'Not renamed.'],
  ['delete', 'Not deleted.'],
]);

/** What failed, and why. */
export function failureWords({ kind, error }: OutboxItem): string {
  return `${FAILED.get(kind) ?? 'Not done.'} ${words(error)}`;
}

/** Shown after a moment only: most writes are over by then. */
export function RowPending({ item }: { item: OutboxItem }) {
  const connected = isConnected(useSyncStatus({ smooth: true }));
  return <span className="row-pending">{useSettled(pendingWords(item, connected), STEADY)}</span>;
}

/** What is refused again however often it is sent; its words have to change first. */
const HOPELESS: ReadonlySet<string> = new Set([
  'message_too_large',
  'body_too_large',
  'message_changed',
  'invalid_parts',
]);

/** Whether sending a write again may do better. */
export function isWorthRetrying({ error }: OutboxItem): boolean {
  return error === undefined || !HOPELESS.has(error.code);
}

/** What can be done about a write that failed: its words are never lost, whatever the server thinks of them. */
export function RowFailure({ row, item }: { row: Row; item: OutboxItem }) {
  const { retry, discard, mend } = useThreadActions();
  const hasWords = item.kind === 'send' || item.kind === 'create' || item.kind === 'edit';
  return (
    <div className="row-failure" role="alert">
      <span>{failureWords(item)}</span>
      {isWorthRetrying(item) && (
        <button type="button" className="text-button" onClick={() => retry(item.key)}>
          Retry
        </button>
      )}
      {hasWords && (
        <button type="button" className="text-button" onClick={() => mend(row)}>
          Edit
        </button>
      )}
      {hasWords && <CopyButton text={item.text ?? ''} label="Copy the text" />}
      <button type="button" className="text-button" onClick={() => discard(item.key)}>
        Discard
      </button>
    </div>
  );
}
