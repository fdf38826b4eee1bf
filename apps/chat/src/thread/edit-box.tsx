//! The inline editor of a message the user sent.

import type { Row } from '@threadmill/client';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { focusComposer } from '../focus';
import { useThreadActions } from './thread-actions';
import { textOf } from './whole-parts';

export function EditBox({ row }: { row: Row }) {
  const { edit, saveEdit } = useThreadActions();
  const [text, setText] = useState(() => row.parts.map(textOf).join('\n\n'));
  // Read while the control that opened the editor still has the focus.
  const [fromComposer] = useState(() => document.activeElement?.closest('.composer') != null);
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(-1, -1);
  }, []);
  const save = () => {
    if (text.trim() === '') return;
    saveEdit(row, text);
    focusComposer();
  };
  // Otherwise the focus returns to the row's own control, as the list sees to.
  const cancel = () => {
    edit(undefined);
    if (fromComposer) focusComposer();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      // The key is used: it must not stop an answer too.
      event.preventDefault();
      cancel();
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  };
  return (
    <div className="edit-box">
      <textarea
        ref={area}
        dir="auto"
        aria-label="Edit message"
        value={text}
        onChange={event => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="edit-buttons">
        <span className="hint">The answer is written again, on a branch of its own.</span>
        <button type="button" className="button" onClick={cancel}>
          Cancel
        </button>
        <button type="button" className="button primary" onClick={save} disabled={text.trim() === ''}>
          Send
        </button>
      </div>
    </div>
  );
}
