//! The rows of a window as assistant-ui's tree of messages. A window shows one branch; of the others it knows how many
//! there are, and how to get to the ones next to it. Those stand in the tree as empty messages, so that its branch
//! picker counts them, and whoever picks one is taken to its branch.

import { ExportedMessageRepository, type ThreadMessage } from '@assistant-ui/react';
import type { Row, ThreadHandle } from '@threadmill/client';
import { likeOf } from './parts.js';

/** How many versions to each side of the one that is shown are in the tree. */
const MOST_VERSIONS = 50;
const MARK = 'version';

type Items = ExportedMessageRepository['messages'];

/** Messages that were made of rows, so that one that did not change is the same object. */
const made = new WeakMap<Row, ThreadMessage>();

function convert(row: Row, parts: Row['parts']): ThreadMessage {
  const { messages } = ExportedMessageRepository.fromBranchableArray([
    { message: likeOf(row, parts), parentId: null },
  ]);
  const [item] = messages;
  if (!item) throw new Error('A message became none.');
  return item.message;
}

function messageOf(row: Row): ThreadMessage {
  const known = made.get(row);
  if (known) return known;
  const message = convert(row, row.parts);
  made.set(row, message);
  return message;
}

/** The tree of a window; `written` are the parts of the row that a run writes. */
export function repositoryOf(rows: readonly Row[], written: Row['parts']): ExportedMessageRepository {
  const messages: Items = [];
  let parentId: string | null = null;
  for (const row of rows) {
    const { before, after } = versionsBeside(row);
    const message = row.run && written.length > 0 ? convert(row, written) : messageOf(row);
    for (const version of before) messages.push({ message: version, parentId });
    messages.push({ message, parentId });
    for (const version of after) messages.push({ message: version, parentId });
    parentId = row.id;
  }
  return { headId: parentId, messages };
}

const versions = new WeakMap<Row, { before: ThreadMessage[]; after: ThreadMessage[] }>();

function versionsBeside(row: Row): { before: ThreadMessage[]; after: ThreadMessage[] } {
  const known = versions.get(row);
  if (known) return known;
  const { index, total } = row.fork ?? { index: 0, total: 1 };
  const between = (from: number, to: number) =>
    Array.from({ length: Math.max(0, to - from) }, (_, at) => version(row, from + at));
  const found = {
    before: between(Math.max(0, index - MOST_VERSIONS), index),
    after: between(index + 1, Math.min(total, index + 1 + MOST_VERSIONS)),
  };
  versions.set(row, found);
  return found;
}

/** An empty message in the place of a version. Its id names the row that is shown: the order of siblings is that of their making. */
function version(row: Row, index: number): ThreadMessage {
  return convert(
    { ...row, id: `${MARK} ${index} ${row.depth} ${row.id}`, parts: [], status: 'complete' },
    [],
  );
}

/** A version of the message at a depth, from 0. */
export interface Version {
  readonly depth: number;
  readonly index: number;
}

/** The version that somebody picked, if these messages end in one. */
export function pickedVersion(messages: readonly { id: string }[]): Version | undefined {
  const [mark, index, depth] = messages.at(-1)?.id.split(' ') ?? [];
  return mark === MARK ? { index: Number(index), depth: Number(depth) } : undefined;
}

/** Goes from one version to the next until the one that was picked is shown, or another one is picked. */
export async function showVersion(
  handle: ThreadHandle,
  picked: Version,
  isWanted: () => boolean,
): Promise<void> {
  for (let steps = 0; steps < MOST_VERSIONS && isWanted(); steps++) {
    const fork = handle.getSnapshot().rows.find(({ depth }) => depth === picked.depth)?.fork;
    const beside = fork && (picked.index < fork.index ? fork.previous : fork.next);
    if (!beside || fork.index === picked.index) return;
    await handle.switchBranch(beside.branch);
  }
}
