//! What was said before an answer, for a model: the newest messages of a branch, each whole.

/** A part of a message, as the AI SDK's `UIMessage` has it. */
export type MessagePart = { readonly type: string; readonly [field: string]: unknown };

/** A message, as the AI SDK's `UIMessage`, and how it stands. */
export interface StoredMessage {
  readonly id: string;
  readonly role: 'user' | 'assistant' | 'system';
  readonly parts: MessagePart[];
  readonly metadata?: unknown;
  readonly status: 'complete' | 'streaming' | 'stopped' | 'interrupted' | 'failed' | 'removed';
}

/** Messages of a window that nobody named a number for. */
const LAST = 50;
/** Bytes of long parts that are fetched beside a window; messages that are older than those that fit are left out. */
const MOST_BYTES = 8 << 20;

/** Asks a path of the API, below `/v1`, and fails with what the server refuses. */
export type Ask = (path: string) => Promise<unknown>;

export interface Which {
  /** The branch; the thread's default one if none is named. */
  readonly branch?: string | undefined;
  /** How many at the most, 1 to 200; 50 if nothing is said. They may be fewer: a window has 256 KiB, long parts 8 MiB. */
  readonly last?: number | undefined;
}

/** The newest messages that are not being written and not removed, the oldest of them first. */
export async function readMessages(ask: Ask, thread: string, which: Which): Promise<StoredMessage[]> {
  const base = `/threads/${encodeURIComponent(thread)}/messages`;
  const query = new URLSearchParams({ before: String(which.last ?? LAST) });
  if (which.branch !== undefined) query.set('branch', which.branch);
  const { messages } = (await ask(`${base}?${query}`)) as { messages: StoredMessage[] };
  const told = messages.filter(({ status }) => status !== 'streaming' && status !== 'removed');
  const found: StoredMessage[] = [];
  let left = MOST_BYTES;
  for (const message of told.toReversed()) {
    left -= bytesCut(message);
    if (left < 0) break;
    found.push(bytesCut(message) > 0 ? await whole(ask, base, message.id) : message);
  }
  return found.reverse();
}

/** The bytes of long parts, of which a window shows only the beginning. */
function bytesCut({ parts }: StoredMessage): number {
  const previews = parts.map(({ preview }) => (preview as { bytes?: number } | undefined)?.bytes ?? 0);
  return previews.reduce((sum, bytes) => sum + bytes, 0);
}

async function whole(ask: Ask, base: string, id: string): Promise<StoredMessage> {
  const { message } = (await ask(`${base}/${encodeURIComponent(id)}`)) as { message: StoredMessage };
  return message;
}
