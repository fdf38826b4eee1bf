//! One message in the list. It renders when its row object changes, which streamed text never does.
//!
//! Room `row`: one message in the list, with its buttons, notices and editor. It does not know where it stands or
//! whether it is seen.

import type { Row, ThreadHandle } from '@threadmill/client';
import { memo, type RefCallback } from 'react';
import { AssistantBody } from '../parts/assistant-body';
import { PlainBody } from '../parts/plain-body';
import { RowAsText } from '../parts/row-as-text';
import { MessageIsWritten } from '../parts/tool-note';
import { Boundary } from '../shell/boundary';
import { countRowRender } from '../turns/counters';
import { useRenderTime, useWrittenRenders } from '../turns/render-time';
import { BranchSwitcher } from './branch-switcher';
import { EditBox } from './edit-box';
import { RowActions } from './row-actions';
import { RowFailure, RowPending } from './row-outbox';
import { RunNotice } from './run-notice';

interface MessageRowProps {
  readonly row: Row;
  readonly handle: ThreadHandle;
  readonly observe: RefCallback<HTMLElement>;
  readonly last: boolean;
  readonly editing: boolean;
}

const WHO: ReadonlyMap<string, string> = new Map<Row['role'], string>([
  ['user', 'You'],
  ['assistant', 'Assistant'],
  ['system', 'System'],
]);

export const MessageRow = memo(function MessageRow({ row, handle, observe, last, editing }: MessageRowProps) {
  countRowRender(row.id);
  useRenderTime();
  useWrittenRenders(row.id, row.run !== undefined);
  return (
    <article
      className={`row row-${row.role}`}
      ref={observe}
      tabIndex={-1}
      data-row={row.id}
      data-depth={row.depth}
      data-status={row.status}
      data-last={last || undefined}
      data-outbox={row.outbox && `${row.outbox.kind} ${row.outbox.state}`}
      aria-label={WHO.get(row.role)}
    >
      <Boundary of={editing ? 'editing' : row} instead={() => <RowAsText row={row} />}>
        {editing && row.status !== 'removed' ? <EditBox row={row} /> : <Content row={row} handle={handle} />}
      </Boundary>
    </article>
  );
});

function Content({ row, handle }: { row: Row; handle: ThreadHandle }) {
  if (row.status === 'removed') {
    return (
      <div className="row-removed">
        <span>Message removed</span>
        <BranchSwitcher row={row} />
      </div>
    );
  }
  const { outbox } = row;
  const quiet = row.run !== undefined || (outbox !== undefined && outbox.state !== 'failed');
  return (
    <>
      <div className="body">
        <MessageIsWritten value={row.run !== undefined}>
          {row.role === 'assistant' ? <AssistantBody row={row} handle={handle} /> : <PlainBody row={row} />}
        </MessageIsWritten>
      </div>
      <RunNotice row={row} />
      {outbox?.state === 'failed' && <RowFailure row={row} item={outbox} />}
      <footer className="row-footer">
        <BranchSwitcher row={row} />
        {outbox && quiet && <RowPending item={outbox} />}
        {quiet || row.rev === 0 ? null : <RowActions row={row} />}
      </footer>
    </>
  );
}
