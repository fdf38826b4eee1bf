//! A message that cannot be drawn as it should be: its text as it was written, and a word that says so.

import type { Row } from '@threadmill/client';
import { PlainText } from '../text/plain-text';

/** All text of a message, whatever its parts are. */
function textOf(row: Pick<Row, 'parts'>): string {
  const parts: readonly unknown[] = Array.isArray(row.parts) ? row.parts : [];
  const texts = parts.map(part =>
    typeof part === 'object' && part !== null && 'text' in part && typeof part.text === 'string'
      ? part.text
      : '',
  );
  return texts.filter(text => text !== '').join('\n\n');
}

/** Uses as little of a row as it can: whatever failed may be in the rest. */
export function RowAsText({ row }: { row: Pick<Row, 'parts'> }) {
  const text = textOf(row);
  return (
    <div className="body">
      {text !== '' && <PlainText text={text} />}
      <p className="undrawn" data-notice="row">
        {text === '' ? 'This message cannot be shown.' : 'This message is shown as plain text.'}
      </p>
    </div>
  );
}
