//! Something that changes the deployment: asked for with a reason, done once, and then said to be done. Drawn only where
//! the node allows it.

import { type FormEvent, useId, useRef, useState } from 'react';
import { act } from '../data/ask';
import { Failure } from '../data/failure';
import { askAllAgain } from '../data/polls';
import { useStanding } from './summary-context';

/** Letters of a reason. */
const LEAST = 3;
const MOST = 500;

interface ActionProps {
  readonly label: string;
  /** What happens, for the dialog. */
  readonly title: string;
  readonly text: string;
  readonly path: string;
  /** Whether who does it is asked as well. */
  readonly signed?: boolean;
}

export function ActionButton(props: ActionProps) {
  const { write } = useStanding();
  const [open, setOpen] = useState(false);
  const [done, setDone] = useState(false);
  if (!write) return null;
  return (
    <>
      <button type="button" className="button small" disabled={done} onClick={() => setOpen(true)}>
        {done ? 'Done' : props.label}
      </button>
      {open && <ActionDialog {...props} onClose={() => setOpen(false)} onDone={() => setDone(true)} />}
    </>
  );
}

function ActionDialog({
  title,
  text,
  label,
  path,
  signed = false,
  onClose,
  onDone,
}: ActionProps & { onClose(): void; onDone(): void }) {
  const id = useId();
  const dialog = useRef<HTMLDialogElement | null>(null);
  const [why, setWhy] = useState('');
  const [who, setWho] = useState('');
  const [state, setState] = useState<'asking' | 'doing' | Failure>('asking');
  const show = (element: HTMLDialogElement | null) => {
    dialog.current = element;
    if (element && !element.open) element.showModal();
  };
  const submit = async (event: FormEvent) => {
    event.preventDefault();
    setState('doing');
    try {
      await act(path, { why: why.trim(), ...(signed ? { who: who.trim() } : {}) });
      onDone();
      dialog.current?.close();
      askAllAgain();
    } catch (error) {
      setState(error instanceof Failure ? error : new Failure('broken', 'unknown', 'It failed.'));
    }
  };
  return (
    <dialog className="dialog" ref={show} onClose={onClose} aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`}>{title}</h2>
      <p>{text}</p>
      <form onSubmit={event => void submit(event)}>
        {signed && (
          <label className="field">
            Who are you?
            <input required maxLength={100} value={who} onChange={event => setWho(event.target.value)} />
          </label>
        )}
        <label className="field" htmlFor={`${id}-why`}>
          Why? It is written into the audit log.
          <textarea
            id={`${id}-why`}
            rows={2}
            maxLength={MOST}
            required
            value={why}
            onChange={event => setWhy(event.target.value)}
          />
        </label>
        {state instanceof Failure && (
          <p className="failed" role="alert">
            {state.message} {state.hint}
          </p>
        )}
        <div className="dialog-buttons">
          <button type="button" className="button" onClick={() => dialog.current?.close()}>
            Cancel
          </button>
          <button
            type="submit"
            className="button danger"
            disabled={state === 'doing' || why.trim().length < LEAST || (signed && who.trim() === '')}
          >
            {state === 'doing' ? 'Doing it' : label}
          </button>
        </div>
      </form>
    </dialog>
  );
}
