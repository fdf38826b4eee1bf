//! Says why an answer ended early, and offers another.

import type { MessageStatus, Row } from '@threadmill/client';
import { useThreadActions } from './thread-actions';

const WHY: Readonly<Partial<Record<MessageStatus, string>>> = {
  stopped: 'You stopped this answer.',
  interrupted: 'This answer was interrupted. What arrived is kept.',
  failed: 'This answer failed.',
};

export function RunNotice({ row }: { row: Row }) {
  const { regenerate } = useThreadActions();
  const why = row.role === 'assistant' ? WHY[row.status] : undefined;
  if (why === undefined) return null;
  return (
    <p className="run-notice" data-status={row.status}>
      <span>{why}</span>
      <button type="button" className="text-button" onClick={() => regenerate(row)}>
        Answer again
      </button>
    </p>
  );
}
