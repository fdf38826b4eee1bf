//! Reads a branch whole, as it is printed: page by page from the end, and whole what pages cut short. Bounded in messages,
//! letters and time.

import type { Message } from '@threadmill/client';

/** More is not printed at once: the newest are, and then those before them. About 800 sheets. */
export const MOST_MESSAGES = 2_000;
const MOST_LETTERS = 10_000_000;
/** Messages in a page, the most the server gives. */
const PAGE = 200;
/** Milliseconds for one answer: a page of the longest messages over a slow line. */
const PATIENCE = 15_000;

/** A branch as far as it is printed. */
export interface ThreadToPrint {
  readonly messages: readonly Message[];
  /** Messages before the first of these, which are too many to print with them, and after the last. */
  readonly before: number;
  readonly after: number;
  /** Where those before end; absent if there are none. */
  readonly rest?: Rest;
}

/** What is not printed yet of a branch: all before a depth. */
export interface Rest {
  readonly branch: string;
  readonly depth: number;
}

interface PagePart {
  readonly type: string;
  readonly preview?: unknown;
}

type Entry = Omit<Message, 'createdAt' | 'parts'> & {
  readonly createdAt: string;
  readonly parts: readonly PagePart[];
};

interface Page {
  readonly branch: string;
  readonly total: number;
  readonly firstDepth: number;
  readonly hasOlder: boolean;
  readonly messages: readonly Entry[];
}

async function ask<T>(path: string): Promise<T> {
  const answer = await fetch(`/v1${path}`, {
    headers: { accept: 'application/json' },
    signal: AbortSignal.timeout(PATIENCE),
  }).catch(() => undefined);
  if (!answer?.ok) {
    const why = answer ? `HTTP ${answer.status}` : 'the server did not answer';
    throw new Error(`The thread could not be read to be printed: ${why}.`);
  }
  return (await answer.json()) as T;
}

/** Reads the end of a branch, or of what is not printed yet. Rejects if the server does not give it in time. */
export async function readThread(
  threadId: string,
  branch: string | undefined,
  rest?: Rest,
): Promise<ThreadToPrint> {
  const thread = `/threads/${encodeURIComponent(threadId)}`;
  const pageAt = (anchor: string, line: string | undefined) => {
    const query = new URLSearchParams({ anchor, before: String(PAGE), ...(line && { branch: line }) });
    return ask<Page>(`${thread}/messages?${query}`);
  };
  const wholeOf = async (entry: Entry) => {
    const cut = entry.parts.some(part => part.preview !== undefined && part.preview !== null);
    if (!cut) return entry;
    return (await ask<{ message: Entry }>(`${thread}/messages/${encodeURIComponent(entry.id)}`)).message;
  };
  const newestFirst: Message[] = [];
  let letters = 0;
  let page = await (rest ? pageAt(`depth:${rest.depth}`, rest.branch) : pageAt('tip', branch));
  const after = rest ? page.total - rest.depth : 0;
  for (;;) {
    for (const entry of [...page.messages].reverse()) {
      if (newestFirst.length >= MOST_MESSAGES || letters > MOST_LETTERS) {
        const before = entry.depth + 1;
        const messages = newestFirst.reverse();
        return { messages, before, after, rest: { branch: page.branch, depth: before } };
      }
      if (entry.status === 'removed') continue;
      const whole = await wholeOf(entry);
      letters += JSON.stringify(whole.parts).length;
      newestFirst.push({ ...whole, createdAt: Date.parse(whole.createdAt) } as Message);
    }
    if (!page.hasOlder) return { messages: newestFirst.reverse(), before: 0, after };
    page = await pageAt(`depth:${page.firstDepth}`, page.branch);
  }
}
