//! Where a message is written. Its state is its own: typing renders nothing else.

import type { ThreadSnapshot } from '@threadmill/client';
import { useClient, useSend } from '@threadmill/react';
import { type KeyboardEvent, memo, useEffect, useRef, useState } from 'react';
import { useConnected } from '../connected';
import { Icon } from '../icon';
import { useReport } from '../reports';
import { ComposerNote } from './composer-note';
import { readDraft, writeDraft } from './draft';
import { ProviderNote, useProviders } from './providers';

interface ComposerProps {
  readonly threadId: string;
  readonly branch: string | undefined;
  readonly run: ThreadSnapshot['run'];
  onEditLast(): void;
  onSent(): void;
}

/** Sends to an open thread; while an answer is written, stops it. */
export const Composer = memo(function Composer(props: ComposerProps) {
  const { threadId, branch, run, onEditLast, onSent } = props;
  const client = useClient();
  const report = useReport();
  const { send, sending } = useSend(threadId);
  const { chosen } = useProviders();
  const submit = async (text: string) => {
    onSent();
    await send({
      text,
      run: true,
      ...(branch === undefined ? {} : { branch }),
      ...(chosen === undefined ? {} : { provider: chosen }),
    });
    onSent();
  };
  const stop = () => {
    if (run?.status === 'live') client.stop(run.id).catch(report);
  };
  return (
    <ComposerBox
      place={threadId}
      busy={run !== undefined}
      stopping={run?.status === 'stopping'}
      sending={sending}
      onSubmit={submit}
      onStop={stop}
      onEditLast={onEditLast}
    />
  );
});

/** What a send waits for. */
export type Pending = 'connection' | 'answer' | 'sending';

interface BoxProps {
  readonly place: string;
  readonly busy: boolean;
  readonly stopping: boolean;
  readonly sending: boolean;
  onSubmit(text: string): Promise<void>;
  onStop(): void;
  onEditLast?(): void;
}

/** The text area and its button, for a thread or for the start of one. */
export function ComposerBox(props: BoxProps) {
  const { place, busy, stopping, sending, onSubmit, onStop, onEditLast } = props;
  const report = useReport();
  const [text, setText] = useState(() => readDraft(place));
  const [refused, setRefused] = useState<Pending>();
  const connected = useConnected();
  const pending = !connected ? 'connection' : busy ? 'answer' : sending ? 'sending' : undefined;
  const area = useRef<HTMLTextAreaElement>(null);
  useStopKey(busy, onStop);
  // A reason that is over is no reason: the note goes with it.
  useEffect(() => {
    if (pending === undefined) setRefused(undefined);
  }, [pending]);
  useEffect(() => {
    // On a touch screen focus would raise the keyboard over the messages.
    if (matchMedia('(pointer: fine)').matches) area.current?.focus({ preventScroll: true });
  }, []);

  const change = (next: string) => {
    setText(next);
    writeDraft(place, next);
  };
  const submit = () => {
    const sent = text;
    if (sent.trim() === '') return;
    setRefused(pending);
    if (pending !== undefined) return;
    // The stored draft goes only when the server has the message.
    setText('');
    onSubmit(sent).then(
      () => readDraft(place) === sent && writeDraft(place, ''),
      error => {
        // The text comes back unless the reader has typed something new meanwhile.
        setText(now => now || sent);
        report(error);
      },
    );
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      submit();
    } else if (event.key === 'ArrowUp' && text === '' && onEditLast) {
      event.preventDefault();
      onEditLast();
    }
  };
  return (
    <form
      className="composer"
      onSubmit={event => {
        event.preventDefault();
        submit();
      }}
    >
      <ComposerNote busy={busy} connected={connected} refused={refused} />
      <div className="composer-box">
        <textarea
          ref={area}
          rows={1}
          value={text}
          placeholder="Write a message"
          aria-label="Message"
          onChange={event => change(event.target.value)}
          onKeyDown={onKeyDown}
        />
        {busy ? (
          <button
            type="button"
            className="round-button"
            aria-label="Stop the answer"
            title="Stop (Esc)"
            disabled={stopping}
            onClick={onStop}
          >
            <Icon name="stop" />
          </button>
        ) : (
          <button
            type="submit"
            className="round-button"
            aria-label="Send"
            title="Send (Enter)"
            disabled={text.trim() === '' || sending}
          >
            <Icon name="send" />
          </button>
        )}
      </div>
      <ProviderNote />
    </form>
  );
}

/** Escape stops the answer, wherever the focus is, unless something nearer used the key. */
function useStopKey(busy: boolean, onStop: () => void): void {
  const stop = useRef(onStop);
  stop.current = onStop;
  useEffect(() => {
    if (!busy) return;
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented || document.querySelector('dialog[open]')) return;
      stop.current();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [busy]);
}
