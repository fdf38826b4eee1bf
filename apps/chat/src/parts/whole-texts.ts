//! The whole of what windows cut short: parts the reader asked for, and the texts of a message to edit or to copy.

import { type Client, type Part, type PreviewPart, type Row, wholeTexts } from '@threadmill/client';
import { cutTo } from '../text/text';

/** Whole parts the reader asked for. Kept beside the rows, which come and go while scrolling. */
const KEPT = 32;
const whole = new Map<string, Part>();
const listeners = new Set<() => void>();
let version = 0;

const keyOf = (row: Row, index: number) => `${row.id}/${row.rev}/${index}`;

/** Keeps a part that was fetched whole. */
export function keepWhole(row: Row, index: number, part: Part): void {
  whole.set(keyOf(row, index), part);
  const oldest = whole.keys().next();
  if (whole.size > KEPT && !oldest.done) whole.delete(oldest.value);
  version += 1;
  for (const listener of listeners) listener();
}

/** For `useSyncExternalStore`, with `wholeVersion`. */
export function onWhole(listener: () => void): () => void {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

/** Changes whenever another part is there whole. */
export function wholeVersion(): number {
  return version;
}

/** Whether this part of the row was fetched whole. */
export function hasWhole(row: Row, index: number): boolean {
  return whole.has(keyOf(row, index));
}

/** The text of a text part, as far as it is there: to be shown, not to be written anywhere. */
export function textOf(part: PreviewPart): string {
  return 'text' in part && typeof part.text === 'string' ? part.text : '';
}

/** The row with those parts that were fetched whole in place of their previews. */
export function withFetched(row: Row): Row {
  const fetched = (index: number) => whole.get(keyOf(row, index));
  const previews = row.previews?.filter(({ part }) => !fetched(part)) ?? [];
  return { ...row, previews, parts: row.parts.map((part, index) => fetched(index) ?? part) };
}

/** The texts of a message, whole, by the index of their part; and the revision that has them. */
export interface MessageTexts {
  readonly texts: readonly { readonly part: number; readonly text: string }[];
  readonly rev: number;
}

/** A message's texts if this browser has them whole. */
export function textsHere(row: Row): MessageTexts | undefined {
  const texts = wholeTexts(withFetched(row));
  return texts && { texts, rev: row.rev };
}

/** A message's texts from the server. */
export async function textsThere(client: Client, threadId: string, row: Row): Promise<MessageTexts> {
  const { parts, rev } = await client.whole(threadId, row.id);
  const texts = parts.flatMap((part, index) =>
    part.type === 'text' ? [{ part: index, text: textOf(part) }] : [],
  );
  return { texts, rev };
}

const GLANCE = 160;

/** The first words of a message, to tell it from others: its beginning is enough, and always here. */
export function glance(row: Row): string {
  const text = row.parts.map(textOf).filter(Boolean).join(' ');
  return text.length <= GLANCE ? text : `${cutTo(text, GLANCE).trimEnd()}…`;
}
