//! The body of an assistant's message: its parts in the order in which they are stored, and the same elements while it is
//! written and after.
//!
//! Room `parts`: what is inside a message, part by part, and what a reader can do to it. It knows no list, and nothing
//! of what stands around the message.

import type { PreviewPart, Row, ThreadHandle } from '@threadmill/client';
import { useLiveParts, useStreamBlocks } from '@threadmill/react';
import { memo, type RefCallback, useMemo, useRef } from 'react';
import { blocksOf } from '../markdown/blocks';
import { MarkdownBlocks } from '../markdown/markdown';
import { countRowRender } from '../turns/counters';
import { OtherPart } from './other-part';
import { ReasoningPart } from './reasoning-part';
import { MorePart, textOf, useWholeParts } from './whole-parts';

export function AssistantBody({ row, handle }: { row: Row; handle: ThreadHandle }) {
  const live = row.run !== undefined;
  const written = useLiveParts(handle, live ? row.id : 'skip');
  const whole = useWholeParts(row);
  const shown = useRef<Row>(undefined);
  // The row counts its own renders; here are those that only a new part caused.
  if (shown.current === row) countRowRender(row.id);
  shown.current = row;
  const parts = live ? written : whole;
  const last = parts.at(-1);
  return (
    <>
      {parts.map((part, at) => (
        <PartOf
          // biome-ignore lint/suspicious/noArrayIndexKey: parts of a message are told apart by their number alone
          key={at}
          row={row}
          handle={handle}
          part={part}
          at={at}
          writing={live && (part.state === 'streaming' || part === last)}
        />
      ))}
      {live && last?.type !== 'text' && <Caret />}
    </>
  );
}

interface PartOfProps {
  readonly row: Row;
  readonly handle: ThreadHandle;
  readonly part: PreviewPart;
  readonly at: number;
  /** More may come to it. */
  readonly writing: boolean;
}

/** Of a message of a thousand parts only those render that are new or changed: the row changes with each of its tools. */
const PartOf = memo(PartOfMessage, (a, b) => {
  const same = a.handle === b.handle && a.part === b.part && a.at === b.at && a.writing === b.writing;
  return same && a.row.id === b.row.id && a.row.rev === b.row.rev && a.row.previews === b.row.previews;
});

function PartOfMessage(props: PartOfProps) {
  const { row, part, at } = props;
  return (
    <>
      {part.type === 'text' ? (
        <TextPart {...props} />
      ) : part.type === 'reasoning' ? (
        <ReasoningPart {...props} />
      ) : (
        <OtherPart part={part} />
      )}
      <MorePart row={row} index={at} />
    </>
  );
}

function TextPart({ row, handle, part, at, writing }: PartOfProps) {
  const stream = useStreamBlocks(handle, writing ? row.id : 'skip', at);
  const text = textOf(part);
  const whole = useMemo(() => (writing ? [] : blocksOf(text)), [writing, text]);
  const rendered = useRef<PreviewPart>(undefined);
  // As above: renders that only new blocks caused.
  if (rendered.current === part && writing) countRowRender(row.id);
  rendered.current = part;
  const blocks = writing ? stream.blocks : whole;
  return <TextBlocks blocks={blocks} tail={writing ? stream.tail : undefined} />;
}

function TextBlocks(props: { blocks: readonly string[]; tail: RefCallback<HTMLElement> | undefined }) {
  const { blocks, tail } = props;
  return (
    <div className="md">
      <MarkdownBlocks blocks={blocks} />
      {tail && <div className="tail" dir="auto" ref={tail} />}
      {tail && <span className="caret" aria-hidden="true" />}
    </div>
  );
}

/** Something is being written, and it is no text yet. */
function Caret() {
  return (
    <div className="md">
      <span className="caret" aria-hidden="true" />
    </div>
  );
}
