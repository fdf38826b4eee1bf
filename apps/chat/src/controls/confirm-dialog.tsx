//! Asks before something is gone for good.

import { useEffect, useRef } from 'react';

interface ConfirmDialogProps {
  readonly open: boolean;
  readonly title: string;
  readonly text: string;
  readonly action: string;
  onClose(): void;
  onConfirm(): void;
}

export function ConfirmDialog({ open, title, text, action, onClose, onConfirm }: ConfirmDialogProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  const confirm = () => {
    onConfirm();
    onClose();
  };
  return (
    <dialog className="dialog" ref={dialog} onClose={onClose} aria-label={title}>
      <h2>{title}</h2>
      {text && <p>{text}</p>}
      <div className="dialog-buttons">
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="button danger" onClick={confirm}>
          {action}
        </button>
      </div>
    </dialog>
  );
}
