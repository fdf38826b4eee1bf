//! Parts as the page shows them: a long one as its beginning, with a button that brings the rest.

import type { PreviewPart, Row } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { useState, useSyncExternalStore } from 'react';
import { useReport } from '../shell/reports';
import { sizeInWords } from '../text/text';
import { useThreadActions } from './thread-actions';
import { hasWhole, keepWhole, onWhole, wholeVersion, withFetched } from './whole-texts';

export { textOf } from './whole-texts';

const noSubscription = () => () => {};

/** The row's parts to show, with those that were fetched whole in place of their previews. */
export function useWholeParts(row: Row): readonly PreviewPart[] {
  const cut = (row.previews?.length ?? 0) > 0;
  useSyncExternalStore(cut ? onWhole : noSubscription, () => (cut ? wholeVersion() : 0));
  return cut ? withFetched(row).parts : row.parts;
}

/** The button under a part that was cut. */
export function MorePart({ row, index }: { row: Row; index: number }) {
  const client = useClient();
  const report = useReport();
  const { threadId } = useThreadActions();
  const [loading, setLoading] = useState(false);
  const preview = row.previews?.find(cut => cut.part === index);
  if (!preview || hasWhole(row, index)) return null;
  const load = () => {
    setLoading(true);
    client
      .wholePart(threadId, row.id, index)
      .then(part => keepWhole(row, index, part), report)
      .finally(() => setLoading(false));
  };
  return (
    <button type="button" className="text-button more-part" onClick={load} disabled={loading}>
      {loading ? 'Loading' : `Show all (${sizeInWords(preview.bytes)})`}
    </button>
  );
}
