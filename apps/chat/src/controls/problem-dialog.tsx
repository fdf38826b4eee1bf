//! Reports a problem to whoever runs the server. What is typed is sent only if the reader says so; else the report is a count.

import { type FormEvent, useId, useLayoutEffect, useRef, useState } from 'react';
import { words } from '../shell/reports';
import { cutToBytes } from '../text/text';

/** Bytes of a report, as the server counts them. */
const MOST = 2_000;

interface ProblemDialogProps {
  readonly open: boolean;
  onClose(): void;
  /** Sends it: a text only where the reader lets it be sent. */
  onSend(text: string | undefined): Promise<void>;
}

export function ProblemDialog({ open, onClose, onSend }: ProblemDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    if (open) element?.showModal();
    // Also where the dialog leaves the page: closing it gives the focus back.
    return () => element?.close();
  }, [open]);
  const closed = () => {
    if (!dialog.current?.open) onClose();
  };
  return (
    <dialog className="dialog" ref={dialog} onClose={closed} aria-label="Report a problem">
      {open && <Form onClose={onClose} onSend={onSend} />}
    </dialog>
  );
}

function Form({ onClose, onSend }: Omit<ProblemDialogProps, 'open'>) {
  const id = useId();
  const [text, setText] = useState('');
  const [consent, setConsent] = useState(false);
  const [state, setState] = useState<'asking' | 'sending' | { readonly failed: string }>('asking');
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setState('sending');
    try {
      await onSend(consent && text.trim() !== '' ? text.trim() : undefined);
      onClose();
    } catch (error) {
      setState({ failed: words(error) });
    }
  };
  return (
    <form className="problem" onSubmit={event => void submit(event)}>
      <h2>Report a problem</h2>
      <label htmlFor={id}>What went wrong?</label>
      <textarea
        id={id}
        rows={4}
        value={text}
        onChange={event => setText(cutToBytes(event.target.value, MOST))}
      />
      <label className="consent">
        <input type="checkbox" checked={consent} onChange={event => setConsent(event.target.checked)} />
        Let those who run this server read what I wrote
      </label>
      <p>
        {consent
          ? 'Your words are kept for them to read. Nothing of the conversation is sent.'
          : 'Only that there was a problem is counted. Nothing of what you wrote, or of the conversation, is sent.'}
      </p>
      {typeof state === 'object' && (
        <p className="problem-failed" role="alert">
          {state.failed}
        </p>
      )}
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="submit" className="button primary" disabled={state === 'sending'}>
          Report
        </button>
      </div>
    </form>
  );
}
