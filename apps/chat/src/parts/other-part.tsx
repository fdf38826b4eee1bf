//! Parts that are not text: reasoning, tools, files, sources, data.

import type { PreviewPart } from '@threadmill/client';
import { type ReactNode, useContext, useState } from 'react';
import { RemoteImage } from '../markdown/remote-image';
import { hostOf, safeLink } from '../markdown/safe-url';
import { jsonOf } from '../text/json';
import { PlainText } from '../text/plain-text';
import { cutTo, glanceOf, sizeInWords } from '../text/text';
import { DrawnWhole } from '../turns/turns';
import { MessageIsWritten, toolNote } from './tool-note';

/** Longer content is drawn once it is unfolded; on paper so much of it is. */
const SHORT = 20_000;

export function OtherPart({ part }: { part: PreviewPart }) {
  const fields = part as Readonly<Record<string, unknown>>;
  if (part.type === 'step-start') return null;
  if (part.type === 'reasoning') return <Folded title="Reasoning" text={text(fields.text)} prose={true} />;
  if (part.type === 'file') return <FilePart fields={fields} />;
  if (part.type === 'source-url') return <SourcePart fields={fields} />;
  if (part.type === 'dynamic-tool') return <ToolPart name={text(fields.toolName)} fields={fields} />;
  if (part.type.startsWith('tool-')) return <ToolPart name={part.type.slice(5)} fields={fields} />;
  return <Folded title={part.type} text={jsonOf(fields.data ?? fields)} />;
}

const text = (value: unknown) => (typeof value === 'string' ? value : '');

interface FoldedProps {
  readonly title: string;
  readonly text: string;
  readonly note?: string;
  readonly prose?: boolean;
}

function Folded(props: FoldedProps) {
  const onPaper = useContext(DrawnWhole);
  return onPaper ? <Unfolded {...props} /> : <Foldable {...props} />;
}

function Foldable({ text, prose, ...head }: FoldedProps) {
  const [open, setOpen] = useState(false);
  return (
    <details className="folded" onToggle={event => setOpen(event.currentTarget.open)}>
      <Summary {...head} />
      <FoldedText prose={prose}>{(open || text.length <= SHORT) && <PlainText text={text} />}</FoldedText>
    </details>
  );
}

/** Nobody opens anything on paper: it is open, as far as it is not too long. */
function Unfolded({ text, prose, ...head }: FoldedProps) {
  const shown = cutTo(text, SHORT);
  const left = text.length - shown.length;
  return (
    <details className="folded" open={true}>
      <Summary {...head} />
      <FoldedText prose={prose}>
        <PlainText text={shown} />
      </FoldedText>
      {left > 0 && <p className="print-notice">{sizeInWords(left)} more are not printed.</p>}
    </details>
  );
}

function Summary({ title, note }: { title: string; note?: string }) {
  return (
    <summary>
      <bdi>{glanceOf(title)}</bdi>
      {/* Else a screen reader says "searchdone". */}
      {note ? <span className="visually-hidden">, </span> : null}
      {note ? <span className="folded-note">{note}</span> : null}
    </summary>
  );
}

function FoldedText({ prose, children }: { prose: boolean | undefined; children: ReactNode }) {
  return (
    <div className={prose ? 'folded-prose' : 'folded-code'} dir={prose ? undefined : 'ltr'}>
      {children}
    </div>
  );
}

function ToolPart({ name, fields }: { name: string; fields: Readonly<Record<string, unknown>> }) {
  const { input, output, errorText } = fields;
  const note = toolNote(fields.state, useContext(MessageIsWritten));
  return <Folded title={name} note={note} text={jsonOf({ input, output, errorText })} />;
}

function FilePart({ fields }: { fields: Readonly<Record<string, unknown>> }) {
  const name = text(fields.filename) || text(fields.mediaType) || 'File';
  const url = text(fields.url);
  if (text(fields.mediaType).startsWith('image/')) return <RemoteImage source={url} alt={name} />;
  return <Chip name={name} url={url} />;
}

function SourcePart({ fields }: { fields: Readonly<Record<string, unknown>> }) {
  const url = text(fields.url);
  return <Chip name={text(fields.title) || url} url={url} />;
}

/** A name, which leads to its address if that may be followed, and the host of the address: a name may be any. */
function Chip({ name, url }: { name: string; url: string }) {
  const href = safeLink(url);
  const shown = glanceOf(name);
  if (!href) {
    return (
      <span className="file-chip" dir="auto">
        {shown}
      </span>
    );
  }
  const host = hostOf(href);
  return (
    <a className="file-chip" dir="auto" href={href} target="_blank" rel="noopener noreferrer nofollow">
      <span>{shown}</span>
      {host !== '' && host !== shown && (
        <span className="chip-host" dir="ltr">
          {host}
        </span>
      )}
    </a>
  );
}
