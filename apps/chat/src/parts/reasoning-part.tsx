//! What the model thought: open while it is written, folded when it is done, unless somebody reads it.

import type { PreviewPart, Row, ThreadHandle } from '@threadmill/client';
import { useStreamText } from '@threadmill/react';
import { type MouseEvent, useLayoutEffect, useRef, useState } from 'react';
import { PlainText } from '../text/plain-text';
import { textOf } from './whole-parts';

/** A longer text is laid out in pieces. */
const LONG = 8 * 1024;

interface ReasoningPartProps {
  readonly row: Row;
  readonly handle: ThreadHandle;
  readonly part: PreviewPart;
  /** Its place in the message. */
  readonly at: number;
  readonly writing: boolean;
}

export function ReasoningPart({ row, handle, part, at, writing }: ReasoningPartProps) {
  const [open, setOpen] = useState(writing);
  const box = useRef<HTMLDetailsElement>(null);
  const wrote = useRef(writing);
  useLayoutEffect(() => {
    if (wrote.current && !writing && box.current && !isRead(box.current)) setOpen(false);
    if (!wrote.current && writing) setOpen(true);
    wrote.current = writing;
  }, [writing]);
  const toggle = (event: MouseEvent) => {
    // Whether it is open is for the state above to say, not for the browser.
    event.preventDefault();
    setOpen(!open);
  };
  return (
    <details className="folded" ref={box} open={open} data-writing={writing || undefined}>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a summary is a control */}
      <summary onClick={toggle}>{writing ? 'Thinking…' : 'Reasoning'}</summary>
      <div className="folded-prose">
        <GrowingText row={row} handle={handle} at={at} text={textOf(part)} writing={writing} />
      </div>
    </details>
  );
}

/** A text that is written past React while it grows, and stays the same nodes when it is complete. */
function GrowingText(props: { row: Row; handle: ThreadHandle; at: number; text: string; writing: boolean }) {
  const { row, handle, at, text, writing } = props;
  const element = useRef<HTMLDivElement>(null);
  const [wrote, setWrote] = useState(writing);
  if (writing && !wrote) setWrote(true);
  const stream = useStreamText(handle, row.id, at);
  useLayoutEffect(
    () => (writing ? (stream(element.current) as (() => void) | undefined) : undefined),
    [stream, writing],
  );
  useLayoutEffect(() => {
    if (writing || !element.current || element.current.textContent === text) return;
    // What is not there whole yet, and too long to come at once, comes in pieces.
    if (text.length > LONG) setWrote(false);
    else element.current.textContent = text;
  }, [writing, text]);
  // What was not written here has no nodes to keep, and may be laid out in pieces.
  if (!writing && !wrote && text.length > LONG) return <PlainText text={text} />;
  return <div ref={element} dir="auto" />;
}

/** Somebody has scrolled to it or selected something in it. */
function isRead(box: HTMLDetailsElement): boolean {
  if (getSelection()?.isCollapsed === false && getSelection()?.containsNode(box, true)) return true;
  const scroller = box.closest('.scroller');
  if (!scroller) return false;
  const below = scroller.scrollHeight - scroller.clientHeight - scroller.scrollTop;
  const [view, seen] = [scroller.getBoundingClientRect(), box.getBoundingClientRect()];
  return below > scroller.clientHeight / 4 && seen.bottom > view.top && seen.top < view.bottom;
}
