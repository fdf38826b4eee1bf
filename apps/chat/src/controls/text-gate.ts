//! The gate of a text field. A field lays all of its text out with each key, so text that would make it slow goes
//! elsewhere: beside the field, or below it. Whatever brings a text comes through here: keys, a paste, a drop, what a
//! spelling checker or an input method puts in, a yank, autofill.
//!
//! | it comes by | it is looked at |
//! |---|---|
//! | a paste, a drop | in the event of that name, before the browser does anything |
//! | any other insertion that says its text | in `beforeinput` |
//! | what cannot be stopped or says nothing | when the field has it: what is new in it is taken out again |
//!
//! A few letters always pass: somebody types them.

import {
  type ChangeEvent,
  type ClipboardEvent,
  type DragEvent,
  type RefObject,
  useEffect,
  useRef,
} from 'react';
import { isQuick } from '../text/layout-cost';

/** A longer text is not put into a field. */
export const LONGEST = 64 * 1024;
/** More letters at once were not typed. */
const TYPED = 256;

/** Whether a field can hold this text and be quick. */
export function fits(text: string): boolean {
  return text.length <= LONGEST && isQuick(text);
}

/** A text that comes into a field, and what the field has before and after it. */
export interface Arrival {
  readonly before: string;
  readonly text: string;
  readonly after: string;
}

/** What of `now` is not in `last`, if one stretch of it was replaced. */
export function arrivalOf(last: string, now: string): Arrival {
  const most = Math.min(last.length, now.length);
  let first = 0;
  while (first < most && last[first] === now[first]) first += 1;
  let end = 0;
  while (end < most - first && last.at(-1 - end) === now.at(-1 - end)) end += 1;
  const stop = now.length - end;
  return { before: now.slice(0, first), text: now.slice(first, stop), after: now.slice(stop) };
}

interface GateProps {
  onChange(event: ChangeEvent<HTMLTextAreaElement>): void;
  onPaste(event: ClipboardEvent<HTMLTextAreaElement>): void;
  onDrop(event: DragEvent<HTMLTextAreaElement>): void;
}

interface Ways {
  /** The field's text from now on. */
  onText(text: string): void;
  /** A text that is too long for the field to have: it has it not. */
  onTooLong(arrival: Arrival): void;
}

/** Handlers for a field whose text is `value`. */
export function useTextGate(
  area: RefObject<HTMLTextAreaElement | null>,
  value: string,
  { onText, onTooLong }: Ways,
): GateProps {
  const gate = ({ before, text, after }: Arrival): boolean => {
    if (text.length <= TYPED || fits(before + text + after)) return true;
    onTooLong({ before, text, after });
    return false;
  };
  const selected = (text: string): Arrival => {
    const { selectionStart = value.length, selectionEnd = value.length } = area.current ?? {};
    return { before: value.slice(0, selectionStart), text, after: value.slice(selectionEnd) };
  };
  const onBeforeInput = (event: InputEvent) => {
    const text = plain(event.data ?? event.dataTransfer?.getData('text/plain') ?? '');
    if (event.inputType.startsWith('insert') && event.cancelable && !gate(selected(text)))
      event.preventDefault();
  };
  const latest = useRef(onBeforeInput);
  latest.current = onBeforeInput;
  useEffect(() => {
    const field = area.current;
    // Not React's event of that name, which is another and says less.
    const listener = (event: InputEvent) => latest.current(event);
    field?.addEventListener('beforeinput', listener);
    return () => field?.removeEventListener('beforeinput', listener);
  }, [area]);
  return {
    onPaste: event => {
      if (!gate(selected(plain(event.clipboardData.getData('text/plain'))))) event.preventDefault();
    },
    onDrop: event => {
      // Where in the field it would go is not known: behind what is there.
      const text = plain(event.dataTransfer.getData('text/plain'));
      if (!gate({ before: value, text, after: '' })) event.preventDefault();
    },
    onChange: ({ target }) => {
      const grown = target.value.length - value.length > TYPED;
      if (!grown || gate(arrivalOf(value, target.value))) onText(target.value);
    },
  };
}

/** As a field would have it. */
function plain(text: string): string {
  return text.replaceAll('\r\n', '\n');
}
