//! A thread on paper: its title, and its messages one after the other.

import type { Message, PreviewPart, Row } from '@threadmill/client';
import { blocksOf } from '../markdown/blocks';
import { MarkdownBlocks } from '../markdown/markdown';
import { EndingWords } from '../parts/ending-words';
import { OtherPart } from '../parts/other-part';
import { RowAsText } from '../parts/row-as-text';
import { endingOf } from '../parts/run-ending';
import { textOf } from '../parts/whole-texts';
import { Boundary } from '../shell/boundary';
import { asName } from '../text/text';
import { DrawnWhole } from '../turns/turns';

const WHO: ReadonlyMap<string, string> = new Map<Row['role'], string>([
  ['user', 'You'],
  ['assistant', 'Assistant'],
  ['system', 'System'],
]);

/** What is printed, and what is not. */
export interface Print {
  readonly title: string;
  readonly messages: readonly (Message | Row)[];
  /** What the reader of the paper must know is missing. */
  readonly notice: string | undefined;
}

export function PrintedThread({ title, messages, notice }: Print) {
  return (
    <article className="print">
      <h1 dir="auto">{asName(title)}</h1>
      {notice !== undefined && <p className="print-notice">{notice}</p>}
      {messages.map(message => (
        <section key={message.id} className={`print-message print-${message.role}`}>
          <h2>
            {WHO.get(message.role) ?? message.role}
            <time>{new Date(message.createdAt).toLocaleString()}</time>
          </h2>
          <Boundary instead={() => <RowAsText row={message} />}>
            <PrintedParts message={message} />
            <PrintedEnding message={message} />
          </Boundary>
        </section>
      ))}
    </article>
  );
}

/** Whoever reads the paper must know too that an answer failed, and why. */
function PrintedEnding({ message }: { message: Message | Row }) {
  const ending = endingOf(message);
  return (
    ending && (
      <div className="print-notice">
        <EndingWords ending={ending} />
      </div>
    )
  );
}

function PrintedParts({ message: { parts, role } }: { message: Message | Row }) {
  return (
    <DrawnWhole value={true}>
      {parts.map((part, index) => (
        // biome-ignore lint/suspicious/noArrayIndexKey: parts of a message are told apart by their number alone
        <PrintedPart key={index} part={part} role={role} />
      ))}
    </DrawnWhole>
  );
}

function PrintedPart({ part, role }: { part: PreviewPart; role: Message['role'] }) {
  if (part.type !== 'text') return <OtherPart part={part} />;
  const text = textOf(part);
  if (role !== 'assistant') {
    return (
      <div className="plain" dir="auto">
        {text}
      </div>
    );
  }
  return (
    <div className="md">
      <MarkdownBlocks blocks={blocksOf(text)} />
    </div>
  );
}
