//! A transcript as a thread. Saving one that goes on appends what is new; one that turns off earlier forks there, so that what was
//! said before stays as a version of its own; one that is shorter removes what is left out.

import { randomUUID } from 'node:crypto';
import { isDeepStrictEqual } from 'node:util';
import type { ModelMessage } from '@tanstack/ai';
import { idOf, type Server, ServerError } from './server.js';

/** How often a save is made anew that meets another one. */
const TRIES = 5;
/** Messages of one window. */
const WINDOW = 200;
/** The part that holds a message of TanStack AI which is more than one text. */
const WHOLE = 'data-tanstack';

type Part = { type: string; text?: string; data?: unknown; preview?: unknown };

interface Stored {
  readonly id: string;
  readonly role: 'user' | 'assistant' | 'system';
  readonly parts: readonly Part[];
  readonly status: string;
  readonly depth: number;
}

interface Window {
  readonly branch: string;
  readonly messages: readonly Stored[];
  readonly firstDepth: number;
  readonly hasOlder: boolean;
}

interface Thread {
  readonly branch: string;
  readonly messages: readonly Stored[];
}

export function threadStore(server: Server) {
  return {
    /** The transcript, the oldest message first; empty for a thread that there is not. */
    async loadThread(threadId: string): Promise<ModelMessage[]> {
      return ((await read(server, idOf(threadId)))?.messages ?? []).map(messageOf);
    },

    /** Makes the transcript these messages. */
    async saveThread(threadId: string, messages: ModelMessage[]): Promise<void> {
      const wanted = JSON.parse(JSON.stringify(messages)) as ModelMessage[];
      for (let tries = 1; ; tries++) {
        try {
          return await save(server, idOf(threadId), wanted);
        } catch (error) {
          const moved = error instanceof ServerError && ['tip_moved', 'id_taken'].includes(error.code);
          if (!moved || tries >= TRIES) throw error;
        }
      }
    },
  };
}

async function read(server: Server, thread: string): Promise<Thread | undefined> {
  let anchor = 'tip';
  let branch: string | undefined;
  let all: Stored[] = [];
  for (;;) {
    const on = branch === undefined ? '' : `&branch=${encodeURIComponent(branch)}`;
    const path = `/threads/${thread}/messages?anchor=${anchor}&before=${WINDOW}${on}`;
    const response = await server.repeat(path, {}, [404]);
    if (response.status === 404) return undefined;
    const window = (await response.json()) as Window;
    branch = window.branch;
    const before = all[0]?.depth ?? Number.POSITIVE_INFINITY;
    const told = window.messages.filter(({ depth, status }) => depth < before && status !== 'removed');
    const page: Stored[] = [];
    for (const message of told) page.push(await whole(server, thread, message));
    all = [...page, ...all];
    if (!window.hasOlder) return { branch, messages: all };
    anchor = `depth:${window.firstDepth}`;
  }
}

/** A window shows only the beginning of a long part. */
async function whole(server: Server, thread: string, message: Stored): Promise<Stored> {
  if (!message.parts.some(part => part.preview)) return message;
  const path = `/threads/${thread}/messages/${encodeURIComponent(message.id)}`;
  return (await server.json<{ message: Stored }>('GET', path)).message;
}

function messageOf({ role, parts }: Stored): ModelMessage {
  const kept = parts.find(({ type }) => type === WHOLE)?.data;
  if (kept) return kept as ModelMessage;
  const content = parts.map(part => (part.type === 'text' ? part.text : '')).join('');
  return { role: role as 'user' | 'assistant', content };
}

/** A message as a message here: its text for everybody, and all of it where it has more. */
function bodyOf(message: ModelMessage): { role: string; parts: Part[] } {
  const { role, content, ...more } = message as ModelMessage & Record<string, unknown>;
  const isPlain = typeof content === 'string' && content !== '' && Object.keys(more).length === 0;
  const spoken = role === 'tool' ? 'assistant' : role;
  if (isPlain && role !== 'tool') return { role: spoken, parts: [{ type: 'text', text: content }] };
  const text = role === 'tool' ? '' : shownOf(content);
  return {
    role: spoken,
    parts: [...(text ? [{ type: 'text', text }] : []), { type: WHOLE, data: message }],
  };
}

function shownOf(content: unknown): string {
  if (typeof content === 'string') return content;
  if (!Array.isArray(content)) return '';
  return content
    .map(part => (part?.type === 'text' && typeof part.content === 'string' ? part.content : ''))
    .join('');
}

async function save(server: Server, thread: string, wanted: readonly ModelMessage[]): Promise<void> {
  const there = await read(server, thread);
  const base = `/threads/${thread}`;
  const [first] = wanted;
  if (!there) {
    if (!first) return;
    await server.json('POST', '/threads', { id: thread, message: { id: randomUUID(), ...bodyOf(first) } });
    // A thread that somebody else made at once is read before more is written.
    return save(server, thread, wanted);
  }
  const known = there.messages;
  let same = 0;
  while (same < Math.min(known.length, wanted.length) && isSame(known[same], wanted[same])) same += 1;
  if (same === wanted.length) return remove(server, base, known.slice(same));
  if (same === 0 && known.length > 0) {
    await replaceFirst(server, base, known[0] as Stored, wanted[0] as ModelMessage);
    return save(server, thread, wanted);
  }
  const how = { turnsOff: same < known.length, branch: there.branch };
  await append(server, base, { ...how, after: known[same - 1]?.id }, wanted.slice(same));
}

function isSame(stored: Stored | undefined, wanted: ModelMessage | undefined): boolean {
  return stored !== undefined && isDeepStrictEqual(messageOf(stored), wanted);
}

async function remove(server: Server, base: string, left: readonly Stored[]): Promise<void> {
  for (const { id } of left.toReversed())
    await server.json('DELETE', `${base}/messages/${encodeURIComponent(id)}`);
}

/** Before the first message there is nothing to fork after: the first itself is edited, which forks where others follow. */
async function replaceFirst(
  server: Server,
  base: string,
  first: Stored,
  wanted: ModelMessage,
): Promise<void> {
  const body = bodyOf(wanted);
  // The role of a message stays; that of the transcript is in the part.
  const parts = body.role === first.role ? body.parts : [{ type: WHOLE, data: wanted }];
  const edit = { id: randomUUID(), parts };
  await server.json('PATCH', `${base}/messages/${encodeURIComponent(first.id)}`, edit);
}

interface Where {
  readonly turnsOff: boolean;
  readonly branch: string;
  readonly after: string | undefined;
}

async function append(
  server: Server,
  base: string,
  where: Where,
  messages: readonly ModelMessage[],
): Promise<void> {
  let { branch, after } = where;
  for (const [at, message] of messages.entries()) {
    const ifMoved = at === 0 && where.turnsOff ? 'fork' : 'refuse';
    const place = { branch, ifMoved, ...(after !== undefined && { after }) };
    const body = { id: randomUUID(), ...bodyOf(message), ...place };
    const answer = await server.json<{ message: Stored & { branch: string } }>(
      'POST',
      `${base}/messages`,
      body,
    );
    if (answer.message.branch !== branch) {
      branch = answer.message.branch;
      await server.json('PATCH', base, { defaultBranch: branch });
    }
    after = answer.message.id;
  }
}
