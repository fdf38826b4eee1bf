//! Words that were written and have no place any more: their thread or their message was deleted elsewhere. They stay until
//! the reader has copied or discarded them.

import type { OutboxItem } from '@threadmill/client';
import { type Messages, useClient, useDraft, useOutbox, useSyncStatus } from '@threadmill/react';
import { useMemo, useReducer } from 'react';
import { CopyButton } from '../controls/copy-button';
import { EditDrafts } from '../parts/edit-drafts';
import { failureWords, pendingWords, whatOf } from '../row/row-outbox';
import { isConnected } from '../shell/connected';
import { PlainText } from '../text/plain-text';
import { useGone } from './use-gone';

/** A text of which nothing is with the server. */
interface Left {
  readonly key: string;
  /** What it was to be, and why it is not. */
  readonly what: string;
  readonly text: string;
  /** Absent while it is on its way. */
  readonly discard: (() => void) | undefined;
}

/** All that was written for a thread that cannot be shown: drafts, edits, and what is not sent. */
export function WordsOfThread({ threadId }: { threadId: string }) {
  const { drafts } = useClient();
  const { draft, setDraft } = useDraft(threadId);
  const { items, discard } = useOutbox(threadId);
  const edits = useMemo(() => new EditDrafts(drafts, threadId), [drafts, threadId]);
  const [, again] = useReducer((n: number) => n + 1, 0);
  const connected = isConnected(useSyncStatus({ smooth: true }));
  const left = items.map(item => leftItem(item, connected, discard));
  for (const messageId of edits.all()) left.push(...leftEdit(edits, messageId, again));
  if (draft.trim() !== '')
    left.push({
      key: 'draft',
      what: 'A message that you were writing',
      text: draft,
      discard: () => setDraft(''),
    });
  return <LeftWords words={left} />;
}

/** Edits of messages of an open thread that are gone: those that were typed, and those that were refused. */
export function WordsOfMessages(props: {
  readonly threadId: string;
  readonly messages: Messages;
  readonly edits: EditDrafts;
  readonly items: readonly OutboxItem[];
  onDiscard(messageId: string): void;
}) {
  const { threadId, messages, edits, items, onDiscard } = props;
  const gone = useGone(threadId, edits, items, messages);
  const { outbox } = useClient();
  const [, again] = useReducer((n: number) => n + 1, 0);
  const left = items
    .filter(({ kind, messageId }) => kind === 'edit' && gone.includes(messageId ?? ''))
    .map(item => leftItem(item, true, key => outbox.discard(key)));
  for (const messageId of gone) {
    const discarded = () => {
      onDiscard(messageId);
      again();
    };
    left.push(...leftEdit(edits, messageId, discarded));
  }
  return <LeftWords words={left} />;
}

function leftItem(item: OutboxItem, connected: boolean, discard: (key: string) => void): Left {
  const { key, state, text = '' } = item;
  const what = state === 'failed' ? failureWords(item) : `${whatOf(item)}: ${pendingWords(item, connected)}`;
  return { key, what, text, discard: state === 'sending' ? undefined : () => discard(key) };
}

function leftEdit(edits: EditDrafts, messageId: string, discarded: () => void): Left[] {
  const texts = edits.get(messageId)?.texts ?? [];
  if (texts.length === 0) return [];
  const discard = () => {
    edits.forget(messageId);
    discarded();
  };
  const text = texts.map(({ text }) => text).join('\n\n');
  return [{ key: `edit ${messageId}`, what: 'An edit of a message that was deleted', text, discard }];
}

function LeftWords({ words }: { words: readonly Left[] }) {
  if (words.length === 0) return null;
  return (
    <section className="left-words" aria-label="What you wrote and was not sent">
      <p role="alert">What you wrote was not sent. It is kept here until you discard it.</p>
      <ul>
        {words.map(({ key, what, text, discard }) => (
          <li key={key}>
            <p className="left-what">{what}</p>
            {text !== '' && (
              // biome-ignore lint/a11y/noNoninteractiveTabindex: a long text scrolls, and the keyboard must reach it
              <section className="left-text" aria-label="The text" tabIndex={0}>
                <PlainText text={text} />
              </section>
            )}
            <div className="left-acts">
              {text !== '' && <CopyButton text={text} label="Copy the text" />}
              <button type="button" className="text-button" disabled={!discard} onClick={discard}>
                Discard
              </button>
            </div>
          </li>
        ))}
      </ul>
    </section>
  );
}
