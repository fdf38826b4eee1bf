//! The body of a message that a person wrote: their text as they typed it.

import type { Row } from '@threadmill/client';
import { PlainText } from '../text/plain-text';
import { OtherPart } from './other-part';
import { MorePart, textOf, useWholeParts } from './whole-parts';

export function PlainBody({ row }: { row: Row }) {
  const parts = useWholeParts(row);
  return parts.map((part, index) => (
    // biome-ignore lint/suspicious/noArrayIndexKey: parts of a message are told apart by their number alone
    <div key={index}>
      {part.type === 'text' ? <PlainText text={textOf(part)} /> : <OtherPart part={part} />}
      <MorePart row={row} index={index} />
    </div>
  ));
}
