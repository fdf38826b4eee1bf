//! Reads a branch whole, as it is printed: page by page from the end, and whole what pages cut short. What is asked for and
//! what becomes of the answers is one generator, for a reader that waits and for one that blocks: the browser's own
//! print command leaves no time to wait.

import type { Message } from '@threadmill/client';

/** More is not printed: the newest are. About 800 sheets. */
export const MOST_MESSAGES = 2_000;
const MOST_LETTERS = 10_000_000;
/** Messages in a page, the most the server gives. */
const PAGE = 200;

/** A branch as far as it is printed. */
export interface ThreadToPrint {
  readonly messages: readonly Message[];
  /** Messages before the first of these: too many to print. */
  readonly leftOut: number;
}

interface PagePart {
  readonly type: string;
  readonly preview?: unknown;
}

interface Page {
  readonly branch: string;
  readonly total: number;
  readonly firstDepth: number;
  readonly hasOlder: boolean;
  readonly messages: readonly (Omit<Message, 'createdAt' | 'parts'> & {
    readonly createdAt: string;
    readonly parts: readonly PagePart[];
  })[];
}

/** Paths go out, answers come in. */
type Reading = Generator<string, ThreadToPrint, unknown>;

function* reading(threadId: string, branch: string | undefined): Reading {
  const thread = `/threads/${encodeURIComponent(threadId)}`;
  const pageAt = (anchor: string, line: string | undefined) => {
    const query = new URLSearchParams({ anchor, before: String(PAGE), ...(line && { branch: line }) });
    return `${thread}/messages?${query}`;
  };
  const newestFirst: Message[] = [];
  let letters = 0;
  let page = (yield pageAt('tip', branch)) as Page;
  const { total } = page;
  for (;;) {
    for (const entry of [...page.messages].reverse()) {
      if (newestFirst.length >= MOST_MESSAGES || letters > MOST_LETTERS) break;
      if (entry.status === 'removed') continue;
      const cut = entry.parts.some(part => part.preview !== undefined && part.preview !== null);
      const whole = cut
        ? ((yield `${thread}/messages/${encodeURIComponent(entry.id)}`) as { message: typeof entry }).message
        : entry;
      letters += JSON.stringify(whole.parts).length;
      newestFirst.push({ ...whole, createdAt: Date.parse(whole.createdAt) } as Message);
    }
    const full = newestFirst.length >= MOST_MESSAGES || letters > MOST_LETTERS;
    if (full || !page.hasOlder) {
      return { messages: newestFirst.reverse(), leftOut: full ? total - newestFirst.length : 0 };
    }
    page = (yield pageAt(`depth:${page.firstDepth}`, page.branch)) as Page;
  }
}

/** Reads a branch while the page goes on. Rejects if the server does not give it. */
export async function readThread(threadId: string, branch: string | undefined): Promise<ThreadToPrint> {
  const steps = reading(threadId, branch);
  let step = steps.next();
  while (!step.done) {
    const answer = await fetch(`/v1${step.value}`, { headers: { accept: 'application/json' } });
    if (!answer.ok) throw new Error(`The thread could not be read to be printed (HTTP ${answer.status}).`);
    step = steps.next(await answer.json());
  }
  return step.value;
}

/** Reads a branch while everything stands still; nothing if the server does not give it. */
export function readThreadNow(threadId: string, branch: string | undefined): ThreadToPrint | undefined {
  try {
    const steps = reading(threadId, branch);
    let step = steps.next();
    while (!step.done) {
      const request = new XMLHttpRequest();
      request.open('GET', `/v1${step.value}`, false);
      request.setRequestHeader('accept', 'application/json');
      request.send();
      if (request.status !== 200) return undefined;
      step = steps.next(JSON.parse(request.responseText));
    }
    return step.value;
  } catch {
    // There is no network: what the page holds is printed.
    return undefined;
  }
}
