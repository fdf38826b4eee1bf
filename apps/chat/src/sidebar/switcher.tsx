//! Ctrl or Cmd + K: type a few letters of a title, press Enter, and be there.

import type { ThreadSummary } from '@threadmill/client';
import { useThreads } from '@threadmill/react';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { focusComposer } from '../controls/focus';
import { isComposed } from '../controls/keys';
import { noteSearch } from '../habits/trail';
import { threadPath } from '../shell/address';
import { navigate } from '../shell/route';
import { relativeTime } from '../text/relative-time';
import { asName, withoutMarkdown } from '../text/text';
import { SETTLE, useSettled } from '../turns/settled';

const SHOWN = 12;
/** What is pasted ends here: no title is longer, and the server is asked in an address. */
const LONGEST = 512;

export function Switcher({ open, onClose }: { open: boolean; onClose: () => void }) {
  const dialog = useRef<HTMLDialogElement>(null);
  const chosen = useRef(false);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
    // What had the focus before may have left with the old thread, and the composer could not take it until now.
    if (!open && chosen.current) focusComposer();
    chosen.current = false;
  }, [open]);
  const choose = (thread: ThreadSummary) => {
    chosen.current = true;
    noteSearch();
    navigate(threadPath(thread.id));
    onClose();
  };
  return (
    <dialog className="dialog switcher" ref={dialog} onClose={onClose} aria-label="Switch thread">
      {open && <Choices onChoose={choose} />}
    </dialog>
  );
}

function Choices({ onChoose }: { onChoose: (thread: ThreadSummary) => void }) {
  const [text, setText] = useState('');
  const [at, setAt] = useState(0);
  // Enter was pressed: the thread is opened as soon as it is known which.
  const [entered, setEntered] = useState(false);
  const typed = text.trim();
  const settled = useSettled(typed, SETTLE);
  const title = entered ? typed : settled;
  const { threads, status } = useThreads(title === '' ? {} : { title });
  const shown = threads.slice(0, SHOWN);
  // What is shown is the answer to what was typed, and not to what was there before.
  const answered = title === typed && status !== 'loading';
  const thread = shown[at];
  useEffect(() => {
    if (!entered || !answered) return;
    setEntered(false);
    if (thread) onChoose(thread);
  }, [entered, answered, thread, onChoose]);
  const onKeyDown = (event: KeyboardEvent) => {
    if (isComposed(event.nativeEvent)) return;
    const step = event.key === 'ArrowDown' ? 1 : event.key === 'ArrowUp' ? -1 : 0;
    if (step !== 0) {
      event.preventDefault();
      setAt(now => Math.max(0, Math.min(shown.length - 1, now + step)));
    } else if (event.key === 'Enter') {
      event.preventDefault();
      setEntered(true);
    }
  };
  return (
    <>
      <input
        dir="auto"
        maxLength={LONGEST}
        ref={field => field?.focus()}
        role="combobox"
        aria-expanded="true"
        aria-controls="switcher-choices"
        aria-activedescendant={thread && `choice-${at}`}
        aria-busy={entered || undefined}
        aria-label="Title"
        placeholder="Switch to a thread"
        value={text}
        onChange={event => {
          setText(event.target.value);
          setAt(0);
          setEntered(false);
        }}
        onKeyDown={onKeyDown}
      />
      <div id="switcher-choices" role="listbox" aria-label="Threads">
        {shown.map((thread, index) => (
          <button
            key={thread.id}
            id={`choice-${index}`}
            type="button"
            role="option"
            tabIndex={-1}
            aria-selected={index === at}
            onClick={() => onChoose(thread)}
            onPointerMove={() => setAt(index)}
          >
            <span dir="auto">{asName(thread.title) || withoutMarkdown(thread.snippet) || 'Untitled'}</span>
            <time>{relativeTime(thread.updatedAt, Date.now())}</time>
          </button>
        ))}
        {shown.length === 0 && answered && (
          <p className="thread-list-empty">No thread has that in its title.</p>
        )}
      </div>
    </>
  );
}
