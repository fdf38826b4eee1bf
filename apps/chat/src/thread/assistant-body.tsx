//! The body of an assistant's message, the same elements while it is written and after: settled blocks stay mounted.

import type { Part, Row, ThreadHandle } from '@threadmill/client';
import { splitBlocks, useStreamBlocks } from '@threadmill/react';
import { type ReactNode, type RefCallback, useRef } from 'react';
import { countRowRender } from '../counters';
import { MarkdownBlocks } from '../markdown/markdown';
import { LONGEST as LONGEST_BLOCK } from '../markdown/parser';
import { OtherPart } from './other-part';
import { MorePart, textOf, useWholeParts } from './whole-parts';

export function AssistantBody({ row, handle }: { row: Row; handle: ThreadHandle }) {
  const writing = row.run !== undefined;
  const stream = useStreamBlocks(handle, writing ? row.id : 'skip');
  const parts = useWholeParts(row);
  const shown = useRef<Row>(undefined);
  // The row counts its own renders; here are those that only new blocks caused.
  if (shown.current === row) countRowRender(row.id);
  shown.current = row;
  if (!writing) return <>{renderParts(row, parts)}</>;
  // What was there before the text (a tool's result, say) comes first.
  const others = parts.filter(part => part.type !== 'text');
  return (
    <>
      {[...renderParts(row, others), <TextBlocks key="text-0" blocks={stream.blocks} tail={stream.tail} />]}
    </>
  );
}

/** Texts are keyed by their number: the one that was streamed keeps its elements when the message is complete. */
function renderParts(row: Row, parts: readonly Part[]): ReactNode[] {
  let texts = 0;
  return parts.flatMap((part, index) => {
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a message are told apart by their number alone
    const more = <MorePart key={`more-${index}`} row={row} index={index} />;
    // biome-ignore lint/suspicious/noArrayIndexKey: as above
    if (part.type !== 'text') return [<OtherPart key={`part-${index}`} part={part} />, more];
    const key = `text-${texts}`;
    texts += 1;
    return [<TextBlocks key={key} blocks={blocksOf(textOf(part))} />, more];
  });
}

/** Reference definitions reach across blocks: a text that has some is one block, if it can be one. */
const DEFINITION = /^ {0,3}\[[^\]\n]+\]:/m;

function blocksOf(text: string): readonly string[] {
  return text.length <= LONGEST_BLOCK && DEFINITION.test(text) ? [text] : splitBlocks(text);
}

function TextBlocks(props: { blocks: readonly string[]; tail?: RefCallback<HTMLElement> }) {
  const { blocks, tail } = props;
  return (
    <div className="md">
      <MarkdownBlocks blocks={blocks} />
      {tail && <div className="tail" dir="auto" ref={tail} />}
      {tail && <span className="caret" aria-hidden="true" />}
    </div>
  );
}
