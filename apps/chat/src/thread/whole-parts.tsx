//! Long parts come as a preview. Here is the way to the whole of them.

import type { Part, Row } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { useState, useSyncExternalStore } from 'react';
import { useReport } from '../reports';
import { sizeInWords } from '../text';
import { useThreadActions } from './thread-actions';

/** Whole parts the reader asked for. Kept beside the rows, which come and go while scrolling. */
const KEPT = 32;
const whole = new Map<string, Part>();
const listeners = new Set<() => void>();
let version = 0;

const keyOf = (row: Row, index: number) => `${row.id}/${row.rev}/${index}`;

function keep(key: string, part: Part): void {
  whole.set(key, part);
  const oldest = whole.keys().next();
  if (whole.size > KEPT && !oldest.done) whole.delete(oldest.value);
  version += 1;
  for (const listener of listeners) listener();
}

function subscribe(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

const noSubscription = () => () => {};

/** The text of a text part. */
export function textOf(part: Part): string {
  return 'text' in part && typeof part.text === 'string' ? part.text : '';
}

/** The row's parts, with those that were fetched whole in place of their previews. */
export function useWholeParts(row: Row): readonly Part[] {
  const cut = (row.previews?.length ?? 0) > 0;
  useSyncExternalStore(cut ? subscribe : noSubscription, () => (cut ? version : 0));
  return cut ? row.parts.map((part, index) => whole.get(keyOf(row, index)) ?? part) : row.parts;
}

/** The button under a part that was cut. */
export function MorePart({ row, index }: { row: Row; index: number }) {
  const client = useClient();
  const report = useReport();
  const { threadId } = useThreadActions();
  const [loading, setLoading] = useState(false);
  const preview = row.previews?.find(cut => cut.part === index);
  if (!preview || whole.has(keyOf(row, index))) return null;
  const load = () => {
    setLoading(true);
    client
      .wholePart(threadId, row.id, index)
      .then(part => keep(keyOf(row, index), part), report)
      .finally(() => setLoading(false));
  };
  return (
    <button type="button" className="text-button more-part" onClick={load} disabled={loading}>
      {loading ? 'Loading' : `Show all (${sizeInWords(preview.bytes)})`}
    </button>
  );
}
