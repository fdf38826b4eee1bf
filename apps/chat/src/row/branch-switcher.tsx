//! The versions of a message: an edit or another answer makes one, and this walks through them.

import type { Row } from '@threadmill/client';
import { Icon } from '../controls/icon';
import { useThreadActions } from '../parts/thread-actions';

export function BranchSwitcher({ row }: { row: Row }) {
  const { showVersion } = useThreadActions();
  const { fork } = row;
  if (!fork || fork.total < 2) return null;
  const { previous, next } = fork;
  return (
    // biome-ignore lint/a11y/useSemanticElements: a fieldset is for forms
    <div className="versions" role="group" aria-label="Versions of this message">
      <button
        type="button"
        className="icon-button"
        aria-label="Previous version"
        disabled={!previous}
        onClick={() => previous && showVersion(row, previous)}
      >
        <Icon name="left" />
      </button>
      <span className="versions-count">
        {fork.index + 1}/{fork.total}
      </span>
      <button
        type="button"
        className="icon-button"
        aria-label="Next version"
        disabled={!next}
        onClick={() => next && showVersion(row, next)}
      >
        <Icon name="right" />
      </button>
    </div>
  );
}
