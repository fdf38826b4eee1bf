//! Says how an answer ended that did not simply end: why, in whose words, what was left out; and offers another.

import type { Row } from '@threadmill/client';
import { type Ending, endingOf } from '../parts/run-ending';
import { useThreadActions } from '../parts/thread-actions';

export function RunNotice({ row }: { row: Row }) {
  const { regenerate } = useThreadActions();
  const ending = endingOf(row);
  if (ending === undefined) return null;
  return (
    <div className="run-notice" data-status={row.status}>
      <Words ending={ending} />
      <button type="button" className="text-button" onClick={() => regenerate(row)}>
        Answer again
      </button>
    </div>
  );
}

function Words({ ending }: { ending: Ending }) {
  return (
    <div className="run-notice-words">
      {ending.lines.map(line => (
        <p key={line} dir="auto">
          {line}
        </p>
      ))}
      {ending.said && (
        <p className="run-notice-said" dir="auto">
          {ending.said}
        </p>
      )}
    </div>
  );
}
