//! The text area and its buttons, for a thread or for the start of one.

import { useSyncStatus } from '@threadmill/react';
import { type KeyboardEvent, type RefObject, useEffect, useRef, useState } from 'react';
import { useAutoHeight } from '../controls/auto-height';
import { Icon } from '../controls/icon';
import { enterKeyHint, isComposed, isSend } from '../controls/keys';
import { isMedia } from '../shell/browser';
import { isConnected } from '../shell/connected';
import { ComposerNote, type Refusal } from './composer-note';
import { HeldText, useLongText } from './long-text';
import { ProviderNote } from './providers';

interface BoxProps {
  readonly text: string;
  /** An answer is being written, or only asked for; none of both. */
  readonly run: 'idle' | 'submitted' | 'live' | 'stopping';
  readonly sending: boolean;
  onText(text: string): void;
  onSubmit(text: string): void;
  onStop(): void;
  onEditLast?(): void;
}

/** While an answer is written it can be stopped, and what is sent waits for its end. */
export function ComposerBox(props: BoxProps) {
  const { text, run, sending, onText, onSubmit, onStop, onEditLast } = props;
  const busy = run !== 'idle';
  const [refused, setRefused] = useState<Refusal>();
  const status = useSyncStatus();
  const connected = isConnected(status);
  const queues = status.engine === 'sync';
  const refusal = queues ? undefined : refusalOf(connected, busy, sending);
  const area = useRef<HTMLTextAreaElement>(null);
  useStopKey(busy, onStop);
  // A reason that is over is no reason: the note goes with it.
  useEffect(() => {
    if (refusal === undefined) setRefused(undefined);
  }, [refusal]);
  useOwnFocus(area);
  const long = useLongText(area, text, onText);
  useAutoHeight(area, long.typed);

  const submit = () => {
    if (text.trim() === '') return;
    setRefused(refusal);
    if (refusal === undefined) onSubmit(text);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (isSend(event.nativeEvent)) {
      event.preventDefault();
      submit();
    } else if (isComposed(event.nativeEvent)) {
      return;
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
      <ComposerNote answering={busy && run !== 'submitted'} connected={connected} refused={refused} />
      <HeldText text={long.held} onDrop={long.drop} />
      <div className="composer-box">
        <textarea
          ref={area}
          rows={1}
          dir="auto"
          enterKeyHint={enterKeyHint()}
          value={long.typed}
          placeholder="Write a message"
          aria-label="Message"
          {...long.gate}
          onKeyDown={onKeyDown}
        />
        {busy && <StopButton run={run} onStop={onStop} />}
        {(!busy || (queues && text.trim() !== '')) && (
          <SendButton disabled={text.trim() === '' || sending} after={busy} />
        )}
      </div>
      <ProviderNote />
    </form>
  );
}

function refusalOf(connected: boolean, busy: boolean, sending: boolean): Refusal | undefined {
  if (!connected) return 'connection';
  if (busy) return 'answer';
  return sending ? 'sending' : undefined;
}

function StopButton({ run, onStop }: Pick<BoxProps, 'run' | 'onStop'>) {
  const unsent = run === 'submitted';
  return (
    <button
      type="button"
      className="round-button quiet"
      aria-label={unsent ? 'Take it back' : 'Stop the answer'}
      title={unsent ? 'Take back (Esc)' : 'Stop (Esc)'}
      disabled={run === 'stopping'}
      onClick={onStop}
    >
      <Icon name="stop" />
    </button>
  );
}

function SendButton({ disabled, after }: { disabled: boolean; after: boolean }) {
  const title = after ? 'Send after this answer (Enter)' : 'Send (Enter)';
  return (
    <button type="submit" className="round-button" aria-label="Send" title={title} disabled={disabled}>
      <Icon name="send" />
    </button>
  );
}

/** Taking the focus lays the page out: it waits for messages that come in the same task, and lays out with them. */
function useOwnFocus(area: RefObject<HTMLTextAreaElement | null>): void {
  useEffect(() => {
    queueMicrotask(() => {
      // On a touch screen focus would raise the keyboard over the messages.
      if (isMedia('(pointer: fine)')) area.current?.focus({ preventScroll: true });
    });
  }, [area]);
}

/** Escape stops the answer, wherever the focus is, unless something nearer used the key. */
function useStopKey(busy: boolean, onStop: () => void): void {
  const stop = useRef(onStop);
  stop.current = onStop;
  useEffect(() => {
    if (!busy) return;
    const onKey = (event: globalThis.KeyboardEvent) => {
      if (event.key !== 'Escape' || event.defaultPrevented || isComposed(event)) return;
      if (document.querySelector('dialog[open]')) return;
      stop.current();
    };
    window.addEventListener('keydown', onKey);
    return () => window.removeEventListener('keydown', onKey);
  }, [busy]);
}
