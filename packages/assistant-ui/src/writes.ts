//! What assistant-ui asks of a thread, as writes of the client.

import type { AppendMessage } from '@assistant-ui/react';
import type { Client, Part, Row, ThreadHandle } from '@threadmill/client';

/** What the writes need to know of the thread that is open. */
export interface Open {
  readonly client: Client;
  /** None while the thread is new. */
  readonly threadId: string | undefined;
  readonly handle: ThreadHandle | undefined;
  readonly rows: readonly Row[];
  readonly branch: string | undefined;
  /** Whether an answer is asked for: not where the app's own backend answers. */
  readonly run: boolean;
  readonly provider: string | undefined;
}

const how = ({ run, provider }: Open) => ({ run, ...(provider !== undefined && { provider }) });
const on = ({ branch }: Open) => (branch === undefined ? {} : { branch });

/** Sends a message; of a new thread it is the first. Resolves to the thread. */
export async function send(open: Open, message: AppendMessage): Promise<string> {
  const parts = partsOf(message);
  const { client, threadId } = open;
  if (threadId === undefined) return (await client.createThread({ message: parts, ...how(open) })).threadId;
  await client.send(threadId, { parts, ...on(open), ...how(open) });
  return threadId;
}

/** Edits the message that this one replaces, and goes to the branch on which it is. */
export async function edit(open: Open, message: AppendMessage): Promise<void> {
  const { client, threadId, rows } = open;
  const replaced = message.sourceId ?? after(rows, message.parentId)?.id;
  const row = rows.find(({ id }) => id === replaced);
  if (threadId === undefined || !row) throw new Error('The message that is edited is not loaded.');
  const texts = row.parts.flatMap((part, at) => (part.type === 'text' ? [at] : []));
  if (texts.length !== 1) throw new Error('Only a message with one text can be edited here.');
  const text = message.content.map(part => (part.type === 'text' ? part.text : '')).join('');
  const edited = await client.edit(threadId, row.id, { text, rev: row.rev, ...on(open), ...how(open) });
  await goTo(open, edited.branch);
}

/** Asks for another answer to a message, and goes to the branch on which it comes. */
export async function reload(open: Open, parentId: string | null): Promise<void> {
  const { client, threadId, rows, provider } = open;
  const answer = after(rows, parentId);
  if (threadId === undefined || answer?.role !== 'assistant')
    throw new Error('There is no answer to replace.');
  const options = { ...on(open), ...(provider !== undefined && { provider }) };
  await goTo(open, (await client.regenerate(threadId, answer.id, options)).branch);
}

async function goTo({ handle }: Open, branch: string): Promise<void> {
  if (handle && handle.getSnapshot().branch !== branch) await handle.switchBranch(branch);
}

/** The row that follows another one; the first where there is none before it. */
function after(rows: readonly Row[], parentId: string | null): Row | undefined {
  return parentId === null ? rows[0] : rows[rows.findIndex(({ id }) => id === parentId) + 1];
}

/** Attachments' contents are parts of the message, by URL or inline. */
function partsOf(message: AppendMessage): Part[] {
  const contents = [...message.content, ...(message.attachments ?? []).flatMap(({ content }) => content)];
  return contents.map((part): Part => {
    switch (part.type) {
      case 'text':
        return { type: 'text', text: part.text };
      case 'image':
        return { type: 'file', mediaType: typeOf(part.image), url: part.image };
      case 'file':
        return { type: 'file', mediaType: part.mimeType, url: part.data, filename: part.filename };
      default:
        throw new Error(`A part of type ${part.type} cannot be sent.`);
    }
  });
}

function typeOf(url: string): string {
  return /^data:([^;,]+)/.exec(url)?.[1] ?? 'image/*';
}
