//! Says how an answer ended that did not simply end: why, in whose words, what was left out; and offers another.

import type { Row } from '@threadmill/client';
import { EndingWords } from '../parts/ending-words';
import { endingOf } from '../parts/run-ending';
import { useThreadActions } from '../parts/thread-actions';

export function RunNotice({ row }: { row: Row }) {
  const { regenerate } = useThreadActions();
  const ending = endingOf(row);
  if (ending === undefined) return null;
  return (
    <div className="run-notice" data-status={row.status}>
      <EndingWords ending={ending} />
      <button type="button" className="text-button" onClick={() => regenerate(row)}>
        Answer again
      </button>
    </div>
  );
}
