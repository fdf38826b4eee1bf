//! The inline editor of a message the user sent.

import type { Row } from '@threadmill/client';
import { type KeyboardEvent, useEffect, useRef, useState } from 'react';
import { useThreadActions } from './thread-actions';
import { textOf } from './whole-parts';

export function EditBox({ row }: { row: Row }) {
  const { edit, saveEdit } = useThreadActions();
  const [text, setText] = useState(() => row.parts.map(textOf).join('\n\n'));
  const area = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    area.current?.focus();
    area.current?.setSelectionRange(-1, -1);
  }, []);
  const save = () => {
    if (text.trim() !== '') saveEdit(row, text);
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.nativeEvent.isComposing) return;
    if (event.key === 'Escape') {
      event.stopPropagation();
      edit(undefined);
    } else if (event.key === 'Enter' && !event.shiftKey) {
      event.preventDefault();
      save();
    }
  };
  return (
    <div className="edit-box">
      <textarea
        ref={area}
        aria-label="Edit message"
        value={text}
        onChange={event => setText(event.target.value)}
        onKeyDown={onKeyDown}
      />
      <div className="edit-buttons">
        <span className="hint">The answer is written again, on a branch of its own.</span>
        <button type="button" className="button" onClick={() => edit(undefined)}>
          Cancel
        </button>
        <button type="button" className="button primary" onClick={save} disabled={text.trim() === ''}>
          Send
        </button>
      </div>
    </div>
  );
}
