//! The field a thread is renamed in. Where an outbox takes the new title, the list shows it at once; without one the field
//! stays, with what was typed, until the server has it.

import type { ThreadSummary } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { useRef, useState } from 'react';
import { isComposed } from '../controls/keys';
import { useReport } from '../shell/reports';
import { cutToBytes } from '../text/text';

/** The server's limit of a title, in UTF-8 bytes. */
const LONGEST_TITLE = 512;

/** How the reader left the field: by a key, so the focus goes back to the thread; or it went elsewhere already. */
export type Leaving = 'key' | 'blur';

export function RenameField(props: { thread: ThreadSummary; onDone: (how: Leaving) => void }) {
  const { thread, onDone } = props;
  const client = useClient();
  const report = useReport();
  const [title, setTitle] = useState(thread.title);
  const [cut, setCut] = useState(false);
  const field = useRef<HTMLInputElement>(null);
  const over = useRef(false);
  const save = (how: Leaving) => {
    if (over.current) return;
    over.current = true;
    const next = title.trim();
    if (next === '' || next === thread.title) return onDone(how);
    const renamed = client.renameThread(thread.id, next);
    if (client.status.getSnapshot().engine === 'sync') {
      renamed.catch(report);
      return onDone(how);
    }
    renamed.then(
      () => onDone(field.current === document.activeElement ? 'key' : how),
      error => {
        over.current = false;
        report(error);
      },
    );
  };
  return (
    <form
      className="thread-item renaming"
      onSubmit={event => {
        event.preventDefault();
        save('key');
      }}
    >
      <input
        dir="auto"
        ref={element => {
          if (element && field.current !== element) element.focus();
          field.current = element;
        }}
        aria-label="Title"
        aria-describedby={cut ? 'title-cut' : undefined}
        // In letters: the browser cuts what is pasted before it lays it out. One more, so that this is seen.
        maxLength={LONGEST_TITLE + 1}
        value={title}
        onChange={event => {
          const now = cutToBytes(event.target.value, LONGEST_TITLE);
          setTitle(now);
          setCut(now !== event.target.value);
        }}
        onBlur={() => save('blur')}
        onKeyDown={event => {
          const composed = isComposed(event.nativeEvent);
          // An Enter that ends a composition would hand in the form.
          if (event.key === 'Enter' && composed) event.preventDefault();
          if (event.key !== 'Escape' || composed) return;
          event.stopPropagation();
          over.current = true;
          onDone('key');
        }}
      />
      {cut && (
        <span id="title-cut" className="title-cut" role="alert">
          A title ends here: {LONGEST_TITLE} bytes.
        </span>
      )}
    </form>
  );
}
