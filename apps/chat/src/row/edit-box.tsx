//! The inline editor of a message the user sent. It holds the message's texts whole, or it does not open: what a window
//! shows of a long text is its beginning. Each text stays a text of its own, and all else in the message stays. What is
//! typed is kept with each key: the row may leave the page at any time.

import type { Row, TextEdit } from '@threadmill/client';
import { useClient } from '@threadmill/react';
import { type KeyboardEvent, type RefObject, useCallback, useEffect, useRef, useState } from 'react';
import { useAutoHeight } from '../controls/auto-height';
import { focusComposer } from '../controls/focus';
import { enterKeyHint, isComposed, isSend } from '../controls/keys';
import { fits, LONGEST, useTextGate } from '../controls/text-gate';
import type { EditDraft } from '../parts/edit-drafts';
import { useThreadActions } from '../parts/thread-actions';
import { type MessageTexts, textsHere, textsThere } from '../parts/whole-texts';
import { words } from '../shell/reports';
import { piecesOf } from '../text/plain-text';
import { sizeInWords } from '../text/text';
import { withLineEnds } from './line-ends';

type Opened = { readonly state: 'loading' } | { readonly state: 'failed'; readonly why: string } | Ready;
type Ready = { readonly state: 'ready' } & MessageTexts;

export function EditBox({ row }: { row: Row }) {
  const { edits } = useThreadActions();
  const [draft] = useState(() => edits.get(row.id));
  const stale = draft !== undefined && row.rev > 0 && draft.rev !== row.rev;
  // A row of the cache may be older than what was typed, and gives way to the one that was edited.
  return <OpenedEdit key={String(stale)} row={row} stale={stale} />;
}

/** `stale`: what was typed before is of another revision. It can be copied, and nothing else. */
function OpenedEdit({ row, stale }: { row: Row; stale: boolean }) {
  const { edit, edits, takeFocus } = useThreadActions();
  const [draft] = useState(() => edits.get(row.id));
  const [opened, again] = useTexts(row, stale ? draft : undefined);
  // An editor that comes back with its row, or with the page, takes no focus: nobody has asked for it now.
  const [asked] = useState(takeFocus);
  // Read while the control that opened the editor still has the focus.
  const [fromComposer] = useState(() => document.activeElement?.closest('.composer') != null);
  // Otherwise the focus returns to the row's own control, as the list sees to.
  const close = () => {
    edits.forget(row.id);
    edit(undefined);
    if (fromComposer) focusComposer();
  };
  if (opened.state === 'ready')
    return <Editor row={row} from={opened} draft={draft} asked={asked} onClose={close} />;
  const why = opened.state === 'failed' ? opened.why : undefined;
  return <Waiting why={why} asked={asked} onAgain={again} onClose={close} />;
}

/** The texts of the message as it is when the editor opens; or those that were typed of another revision. */
function useTexts(row: Row, stale: EditDraft | undefined): [Opened, () => void] {
  const client = useClient();
  const { threadId } = useThreadActions();
  const [first] = useState(row);
  const [opened, setOpened] = useState<Opened>(() => {
    if (stale) return { state: 'ready', ...stale };
    // A row with an edit over it shows that, not what the server has.
    const here = row.outbox?.kind === 'edit' ? undefined : textsHere(row);
    return here ? { state: 'ready', ...here } : { state: 'loading' };
  });
  const { state } = opened;
  useEffect(() => {
    if (state !== 'loading') return;
    let gone = false;
    textsThere(client, threadId, first).then(
      texts => !gone && setOpened({ state: 'ready', ...texts }),
      error => !gone && setOpened({ state: 'failed', why: words(error) }),
    );
    return () => {
      gone = true;
    };
  }, [state, client, threadId, first]);
  return [opened, useCallback(() => setOpened({ state: 'loading' }), [])];
}

/** In place of the editor while the whole message is on its way, or if it does not come. */
function Waiting(props: {
  why: string | undefined;
  asked: boolean;
  onAgain: () => void;
  onClose: () => void;
}) {
  const { why, asked, onAgain, onClose } = props;
  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: it only hears what its buttons leave to it
    <div
      className="edit-box"
      data-state={why === undefined ? 'loading' : 'failed'}
      onKeyDown={escapeTo(onClose)}
    >
      <p role={why === undefined ? 'status' : 'alert'}>
        {why === undefined
          ? 'Loading the whole message.'
          : `This message is long, and only its beginning is here. ${why}`}
      </p>
      <div className="edit-buttons">
        <button type="button" className="button" ref={asked ? focusOnce : undefined} onClick={onClose}>
          Cancel
        </button>
        {why !== undefined && (
          <button type="button" className="button primary" onClick={onAgain}>
            Try again
          </button>
        )}
      </div>
    </div>
  );
}

function focusOnce(element: HTMLElement | null): void {
  element?.focus();
}

/** The key is used: it must not stop an answer too. */
function escapeTo(close: () => void) {
  return (event: KeyboardEvent) => {
    if (event.key !== 'Escape' || isComposed(event.nativeEvent)) return;
    event.stopPropagation();
    event.preventDefault();
    close();
  };
}

/**
 * The texts to begin with: those that were typed before, else those of an edit that failed, so that its words can be
 * mended, else the message's.
 */
function firstTexts(
  { outbox }: Row,
  { texts }: MessageTexts,
  draft: EditDraft | undefined,
): readonly string[] {
  const failed = outbox?.kind === 'edit' && outbox.state === 'failed' ? outbox.texts : undefined;
  return texts.map(({ part, text }) => {
    const typed = draft?.texts.find(own => own.part === part);
    const own = failed?.find(edit => (edit.part ?? texts[0]?.part) === part);
    return typed?.text ?? own?.text ?? text;
  });
}

interface EditorProps {
  readonly row: Row;
  readonly from: MessageTexts;
  readonly draft: EditDraft | undefined;
  /** The reader opened it just now. */
  readonly asked: boolean;
  onClose(): void;
}

function Editor({ row, from, draft, asked, onClose }: EditorProps) {
  const { saveEdit, edits } = useThreadActions();
  const [texts, setTexts] = useState(() => firstTexts(row, from, draft));
  const first = useRef<HTMLTextAreaElement>(null);
  useEffect(() => {
    if (!asked) return;
    first.current?.focus();
    first.current?.setSelectionRange(-1, -1);
  }, [asked]);
  const type = (at: number, now: string) => {
    const next = texts.map((old, other) => (other === at ? now : old));
    setTexts(next);
    const typed = from.texts.map(({ part }, at) => ({ part, text: next[at] ?? '' }));
    edits.set(row.id, { rev: from.rev, texts: typed });
  };
  // A row of revision 0 is not with the server yet: nobody else can have changed it.
  const changed = row.rev > 0 && row.rev !== from.rev;
  const empty = texts.every(text => text.trim() === '');
  const save = () => {
    if (empty || changed) return;
    const edits: TextEdit[] = from.texts.flatMap(({ part, text }, at) => {
      const now = withLineEnds(text, texts[at] ?? text);
      return now === text ? [] : [{ part, text: now }];
    });
    // Nothing to write: another version that says the same is of use to nobody.
    if (edits.length === 0) return onClose();
    saveEdit(row, edits, from.rev);
    focusComposer();
  };
  const onEscape = escapeTo(onClose);
  const onKeyDown = (event: KeyboardEvent) => {
    onEscape(event);
    if (!isSend(event.nativeEvent)) return;
    event.preventDefault();
    save();
  };
  return (
    <div className="edit-box">
      {texts.map((text, at) => (
        <TextField
          // biome-ignore lint/suspicious/noArrayIndexKey: the texts of a message are told apart by their number alone
          key={at}
          area={at === 0 ? first : undefined}
          label={texts.length === 1 ? 'Edit message' : `Edit text ${at + 1} of ${texts.length}`}
          text={text}
          onText={now => type(at, now)}
          onKeyDown={onKeyDown}
        />
      ))}
      <div className="edit-buttons">
        <span className="hint" role={changed ? 'alert' : undefined}>
          {hintFor(row, from, changed)}
        </span>
        <button type="button" className="button" onClick={onClose}>
          Cancel
        </button>
        <button type="button" className="button primary" onClick={save} disabled={empty || changed}>
          Send
        </button>
      </div>
    </div>
  );
}

function hintFor(row: Row, from: MessageTexts, changed: boolean): string {
  if (changed)
    return 'This message was changed elsewhere. Copy what you need, cancel, and edit it as it is now.';
  const others = row.parts.length - from.texts.length;
  const kept = others === 1 ? 'One attachment stays with it.' : `${others} attachments stay with it.`;
  return `The answer is written again, on a branch of its own.${others > 0 ? ` ${kept}` : ''}`;
}

/** What of a long text the field does not show: a field lays all of its text out with each key. */
export function restOf(text: string): string {
  if (fits(text)) return '';
  return text.slice(piecesOf(text.slice(0, LONGEST))[0]?.text.length);
}

function TextField(props: {
  area: RefObject<HTMLTextAreaElement | null> | undefined;
  label: string;
  text: string;
  onText: (text: string) => void;
  onKeyDown: (event: KeyboardEvent) => void;
}) {
  const { area, label, text, onText, onKeyDown } = props;
  const own = useRef<HTMLTextAreaElement>(null);
  const field = area ?? own;
  const [rest, setRest] = useState(() => restOf(text));
  const shown = text.slice(0, text.length - rest.length);
  useAutoHeight(field, shown);
  const gate = useTextGate(field, shown, {
    onText: now => onText(now + rest),
    onTooLong: arrival => {
      const now = arrival.before + arrival.text + arrival.after + rest;
      setRest(restOf(now));
      onText(now);
    },
  });
  return (
    <>
      <textarea
        ref={field}
        dir="auto"
        aria-label={label}
        enterKeyHint={enterKeyHint()}
        value={shown}
        {...gate}
        onKeyDown={onKeyDown}
      />
      {rest !== '' && (
        <p className="edit-rest">
          <span>{sizeInWords(rest.length)} more follow and stay as they are.</span>
          <button type="button" className="text-button" onClick={() => setRest('')}>
            Edit all of it
          </button>
        </p>
      )}
    </>
  );
}
