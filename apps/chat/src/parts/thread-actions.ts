//! What a reader can do to a message. One object a thread, so that rows never render because of it.

import type { Client, FeedbackInput, ForkOption, Row, TextEdit, ThreadHandle } from '@threadmill/client';
import { createContext, useContext } from 'react';
import type { EditDrafts } from './edit-drafts';
import { type MessageTexts, textsHere, textsThere } from './whole-texts';

/** The actions of the open thread. */
export interface ThreadActions {
  readonly threadId: string;
  /** Opens the editor in a row, or closes it. */
  edit(messageId: string | undefined): void;
  /** Whether an editor was just opened by the reader; only the first who asks is told. */
  takeFocus(): boolean;
  /** What was typed into editors and not sent. */
  readonly edits: EditDrafts;
  /** Saves what was changed in a message's texts, as they were at that revision, and asks for a new answer. */
  saveEdit(row: Row, texts: readonly TextEdit[], rev: number): void;
  /** The texts of a message, whole, as one: what is copied. */
  wholeText(row: Row): string | Promise<string>;
  /** Takes a write of this thread that failed back into the composer or the editor, to be mended. */
  mend(row: Row): void;
  regenerate(row: Row): void;
  /** Tells the operator what the reader thinks of a message. */
  judge(messageId: string, input: FeedbackInput): Promise<void>;
  /** Asks, and then removes. */
  askRemove(row: Row): void;
  /** Removes at once; where other versions stand beside the message, shows one of them. */
  remove(row: Row): void;
  /** Tries a write of this thread that failed again. */
  retry(key: string): void;
  /** Gives up a write of this thread that failed. */
  discard(key: string): void;
  /** Shows another version of a message, on its branch, at the same place of the page. */
  showVersion(from: Row, to: ForkOption): void;
}

const Context = createContext<ThreadActions | undefined>(undefined);

export const ThreadActionsProvider = Context.Provider;

/** The actions of the thread around this row. */
export function useThreadActions(): ThreadActions {
  const actions = useContext(Context);
  if (!actions) throw new Error('A message row must be inside a thread.');
  return actions;
}

/** What an action asks of whoever keeps the reader's line in place: the list of the thread. */
interface Scrolling {
  rename(from: string, to: string): void;
  follow(): void;
  release(): void;
  aimAt(id: string): void;
}

interface ActionParts {
  readonly client: Client;
  readonly handle: ThreadHandle;
  readonly keeper: Scrolling;
  readonly report: (error: unknown) => void;
  readonly edits: EditDrafts;
  readonly setEditing: (messageId: string | undefined) => void;
  readonly takeFocus: () => boolean;
  /** Opens the editor of a message again, unless another is open. */
  readonly reopen: (messageId: string) => void;
  readonly askRemove: (row: Row) => void;
  readonly mend: (row: Row) => void;
  readonly provider: () => string | undefined;
  /** Whether the thread is still shown: a write may be acknowledged long after. */
  readonly isShown: () => boolean;
}

/** Actions over one handle. Forks move this tab to the new branch; other tabs are told by the server. */
export function threadActions(parts: ActionParts): ThreadActions {
  const { client, handle, keeper, report, edits, setEditing } = parts;
  const { threadId } = handle;
  const branchOf = () => {
    const { branch } = handle.getSnapshot();
    return branch === undefined ? {} : { branch };
  };
  const moveTo = async (branch: string) => {
    if (parts.isShown() && handle.getSnapshot().branch !== branch) await handle.switchBranch(branch);
  };
  /** What was typed is kept until something else keeps it: the outbox at once, without one the server. */
  const edited = async <T>(row: Row, saving: Promise<T>): Promise<T> => {
    const queues = client.status.getSnapshot().engine === 'sync';
    if (queues) edits.forget(row.id);
    try {
      const saved = await saving;
      if (!queues) edits.forget(row.id);
      return saved;
    } catch (error) {
      if (!queues) parts.reopen(row.id);
      throw error;
    }
  };
  const saveEdit = async (row: Row, texts: readonly TextEdit[], rev: number) => {
    setEditing(undefined);
    // An edit that failed gives way to the one that was made of it.
    if (row.outbox?.kind === 'edit') client.outbox.discard(row.outbox.key);
    const provider = parts.provider();
    const choice = provider === undefined ? {} : { provider };
    const read = rev > 0 ? { rev } : {};
    const input = { texts, run: true, ...read, ...branchOf(), ...choice };
    const saved = await edited(row, client.edit(threadId, row.id, input));
    keeper.rename(row.id, saved.messageId);
    await moveTo(saved.branch);
    keeper.follow();
  };
  const regenerate = async (row: Row) => {
    const provider = parts.provider();
    const choice = provider === undefined ? {} : { provider };
    const started = await client.regenerate(threadId, row.id, { ...branchOf(), ...choice });
    keeper.rename(row.id, started.messageId);
    await moveTo(started.branch);
    keeper.follow();
  };
  const showVersion = async (from: Row, to: ForkOption) => {
    keeper.release();
    keeper.rename(from.id, to.message);
    await moveTo(to.branch);
    if (handle.getSnapshot().rows.some(row => row.id === to.message)) return;
    keeper.aimAt(to.message);
    await handle.jumpTo({ at: 'message', id: to.message });
  };
  const remove = async (row: Row) => {
    await client.removeMessage(threadId, row.id);
    const beside = row.fork?.previous ?? row.fork?.next;
    if (beside) await showVersion(row, beside);
  };
  /** A failure that the row itself says is not said twice. */
  const reportOf = (row: Row) => (error: unknown) => {
    const said = client.outbox
      .getSnapshot()
      .some(item => item.messageId === row.id && item.state === 'failed');
    if (!said) report(error);
  };
  const joined = ({ texts }: MessageTexts) =>
    texts
      .map(({ text }) => text)
      .filter(Boolean)
      .join('\n\n');
  const wholeText = (row: Row) => {
    const here = textsHere(row);
    return here ? joined(here) : textsThere(client, threadId, row).then(joined);
  };
  return {
    threadId,
    wholeText,
    mend: parts.mend,
    edit: setEditing,
    takeFocus: parts.takeFocus,
    edits,
    judge: (messageId, input) => client.feedback(input, threadId, messageId),
    askRemove: parts.askRemove,
    remove: row => void remove(row).catch(reportOf(row)),
    saveEdit: (row, texts, rev) => void saveEdit(row, texts, rev).catch(reportOf(row)),
    regenerate: row => void regenerate(row).catch(reportOf(row)),
    retry: key => client.outbox.retry(key),
    discard: key => client.outbox.discard(key),
    showVersion: (from, to) => void showVersion(from, to).catch(report),
  };
}
