//! Which message of a thread is being edited. A thread that is opened again shows the editor that was left, with what was
//! typed in it.

import { useClient } from '@threadmill/react';
import { useCallback, useMemo, useRef, useState } from 'react';
import { EditDrafts } from '../parts/edit-drafts';

interface Editing {
  readonly edits: EditDrafts;
  readonly editing: string | undefined;
  /** The reader opens an editor, or closes it. */
  setEditing(messageId: string | undefined): void;
  /** Opens the editor of a message again, unless another is open. */
  reopen(messageId: string): void;
  /** Whether the reader has just opened an editor: true once, for the one that opens. */
  takeFocus(): boolean;
}

export function useEditing(threadId: string): Editing {
  const { drafts } = useClient();
  const edits = useMemo(() => new EditDrafts(drafts, threadId), [drafts, threadId]);
  const [editing, setMessage] = useState(() => edits.newest());
  const asked = useRef(false);
  const setEditing = useCallback((messageId: string | undefined) => {
    asked.current = messageId !== undefined;
    setMessage(messageId);
  }, []);
  const reopen = useCallback((messageId: string) => setMessage(now => now ?? messageId), []);
  const takeFocus = useCallback(() => {
    const was = asked.current;
    asked.current = false;
    return was;
  }, []);
  return { edits, editing, setEditing, reopen, takeFocus };
}
