//! `useChat` over Threadmill: the AI SDK's `ChatTransport`. A chat is a thread, and its messages are the server's;
//! what the SDK sends along as history is not sent on.
//!
//! Room `ai-sdk`: a transport for the AI SDK, beside both engines. It needs a client's access to the server and nothing
//! else of it.

import { unlessAborted } from '../page/promises.js';
import { type Access, accessOf } from '../transport/access.js';
import { mint } from '../words/ids.js';
import { ProblemError } from '../words/problem.js';
import type { Client } from '../words/types.js';
import { follow, type Target } from './follow.js';
import { type HistoryOptions, loadMessages } from './history.js';
import type {
  ChatMessage,
  ChatTransport,
  ReconnectOptions,
  SendMessagesOptions,
  UIMessageChunk,
} from './types.js';

export type { ChatMessage, ChatTransport, ReconnectOptions, SendMessagesOptions, UIMessageChunk };
export { type HistoryOptions, loadMessages };

export interface ChatTransportOptions {
  /** Who answers; the server's default if none is named. */
  readonly provider?: string;
  /**
   * Whether `stop()` stops the answer, for everybody who reads it; it does unless this is `false`. Then it only ends the
   * reading. A page that is reloaded or closed stops nothing.
   */
  readonly stopOnAbort?: boolean;
}

interface RunJson {
  readonly id: string;
  readonly branch: string;
  readonly message: string;
  readonly status: string;
}

interface WriteJson {
  readonly message: { readonly id: string };
  readonly run: RunJson;
}

interface WindowJson {
  readonly branch: string;
  readonly messages: readonly { readonly id: string; readonly role: string; readonly depth: number }[];
  readonly runs: readonly RunJson[];
}

/**
 * Milliseconds after an abort in which the same chat may take its answer up again: the SDK aborts a reading also where
 * it replaces it by another one, as when React mounts a component twice.
 */
const TAKEN_UP = 100;
/** Milliseconds the server may hold a message that waits for the end of an answer, and the way there and back. */
const HELD = 75_000;

/**
 * A transport for `useChat` and `Chat` of AI SDK 5 and later. The chat's id is the thread's. A message that is sent
 * while an answer is still being written (by another tab, say) waits for its end.
 *
 * @example
 * const transport = useMemo(() => createChatTransport(client), [client]);
 * const { messages, sendMessage, stop } = useChat({ id: threadId, transport, messages: history, resume: true });
 */
export function createChatTransport(client: Client, options: ChatTransportOptions = {}): ChatTransport {
  return new Transport(accessOf(client), options);
}

class Transport implements ChatTransport {
  readonly resumeStreamIsReplay = true;
  readonly #access: Access;
  readonly #options: ChatTransportOptions;
  /** The branch each chat was last written on: another tab's fork does not move this one. */
  readonly #branches = new Map<string, string>();
  /** An edited message keeps its id in the chat and has a new one on the server. */
  readonly #renamed = new Map<string, string>();
  /** By chat, what was aborted and is about to be stopped. */
  readonly #stops = new Map<string, Stop>();

  constructor(access: Access, options: ChatTransportOptions) {
    this.#access = access;
    this.#options = options;
  }

  // Fields, so that they may be passed on without the object, as the SDK's own transports allow.
  readonly sendMessages = async (options: SendMessagesOptions): Promise<ReadableStream<UIMessageChunk>> => {
    const { chatId, abortSignal } = options;
    // A new message does not take the old answer up again.
    await this.#stops.get(chatId)?.now();
    const write = new Write(this.#access, this.#options, options, this.#branches, this.#renamed);
    const asked = options.trigger === 'submit-message' ? write.submit() : write.regenerate();
    const run = await unlessAborted(asked, abortSignal).catch((error: unknown) => {
      // It may take effect all the same, and nobody waits for it.
      if (abortSignal?.aborted && this.#stopsOnAbort) asked.then(run => this.#stop(run.id), ignore);
      throw error;
    });
    this.#branches.set(chatId, run.branch);
    return this.#follow(chatId, run, abortSignal);
  };

  readonly reconnectToStream = async ({
    chatId,
    abortSignal,
  }: ReconnectOptions): Promise<ReadableStream<UIMessageChunk> | null> => {
    this.#stops.get(chatId)?.giveUp();
    const query = new URLSearchParams({ anchor: 'tip', before: '1' });
    const branch = this.#branches.get(chatId);
    if (branch !== undefined) query.set('branch', branch);
    const read = this.#access.json<WindowJson>(
      'GET',
      `${pathOf(chatId)}/messages?${query}`,
      undefined,
      abortSignal,
    );
    const window = await read.catch(notFound('thread_not_found'));
    if (!window) return null;
    this.#branches.set(chatId, window.branch);
    const run = window.runs.find(run => run.status !== 'ended');
    // What was replaced by another reading before it began stops nothing.
    abortSignal?.throwIfAborted();
    return run ? this.#follow(chatId, run, abortSignal) : null;
  };

  #follow(thread: string, run: RunJson, signal: AbortSignal | undefined): ReadableStream<UIMessageChunk> {
    const stop = () => {
      const stop = new Stop(() => this.#stop(run.id));
      this.#stops.set(thread, stop);
    };
    if (this.#stopsOnAbort) {
      if (signal?.aborted) stop();
      signal?.addEventListener('abort', stop, { once: true });
    }
    const target: Target = { thread, branch: run.branch, run: run.id, message: run.message };
    return follow(this.#access, target, signal);
  }

  get #stopsOnAbort(): boolean {
    return this.#options.stopOnAbort ?? true;
  }

  async #stop(run: string): Promise<void> {
    // The reader is gone: nobody is left to hear of a failure. One that has ended needs no stop.
    await this.#access.json('POST', `/runs/${encodeURIComponent(run)}/stop`).catch(ignore);
  }
}

/** A stop that is about to happen, unless the answer is taken up again. */
class Stop {
  readonly #act: () => Promise<void>;
  readonly #timer: ReturnType<typeof setTimeout>;
  #state: 'waiting' | 'given up' | Promise<void> = 'waiting';

  constructor(act: () => Promise<void>) {
    this.#act = act;
    this.#timer = setTimeout(() => void this.now(), TAKEN_UP);
  }

  giveUp(): void {
    clearTimeout(this.#timer);
    if (this.#state === 'waiting') this.#state = 'given up';
  }

  /** Resolves when it has been done. */
  async now(): Promise<void> {
    clearTimeout(this.#timer);
    if (this.#state === 'waiting') this.#state = this.#act();
    if (this.#state !== 'given up') await this.#state;
  }
}

/** One request of the SDK's, as writes. They are not aborted: whether they took effect would not be known. */
class Write {
  readonly #access: Access;
  readonly #chat: string;
  readonly #messages: readonly ChatMessage[];
  readonly #messageId: string | undefined;
  readonly #renamed: Map<string, string>;
  readonly #branch: { branch?: string };
  readonly #run: { id: string; message: string; provider?: string };
  readonly #signal: AbortSignal | undefined;

  constructor(
    access: Access,
    options: ChatTransportOptions,
    request: SendMessagesOptions,
    branches: ReadonlyMap<string, string>,
    renamed: Map<string, string>,
  ) {
    this.#access = access;
    this.#chat = request.chatId;
    this.#signal = request.abortSignal;
    this.#messages = request.messages;
    this.#messageId = request.messageId;
    this.#renamed = renamed;
    const asked = (request.body ?? {}) as { branch?: string; provider?: string };
    const branch = asked.branch ?? branches.get(request.chatId);
    const provider = asked.provider ?? options.provider;
    this.#branch = branch === undefined ? {} : { branch };
    this.#run = { id: mint(), message: mint(), ...(provider === undefined ? {} : { provider }) };
  }

  async submit(): Promise<RunJson> {
    const last = this.#last();
    if (this.#messageId !== undefined) {
      const edited = await this.#edit(last, this.#messageId).catch(notFound('message_not_found'));
      if (edited) return edited.run;
    }
    const first = this.#messages.length === 1;
    const written = first
      ? await this.#create(last).catch(error => (isTaken(error) ? this.#append(last) : Promise.reject(error)))
      : await this.#append(last).catch(async error => {
          if (isCode(error, 'thread_not_found')) return this.#create(last);
          throw error;
        });
    return written.run;
  }

  async regenerate(): Promise<RunJson> {
    const id = this.#messageId;
    // The SDK has taken the answer out of its list; a message that is still there is the question.
    if (id !== undefined && !this.#messages.some(message => message.id === id))
      return this.#start(this.#branch, id);
    const question = this.#last();
    const found = await this.#answerTo(question).catch(notFound('message_not_found', 'thread_not_found'));
    return found ? this.#start({ branch: found.branch }, found.answer) : this.submit();
  }

  #last(): ChatMessage {
    const last = this.#messages.at(-1);
    if (last?.role === 'user') return last;
    throw new Error(
      'Threadmill takes a message of the user to answer; results of tools come from the server.',
    );
  }

  #create(message: ChatMessage): Promise<WriteJson> {
    return this.#access.json('POST', '/threads', {
      id: this.#chat,
      message: bodyOf(message),
      run: this.#run,
    });
  }

  #append(message: ChatMessage): Promise<WriteJson> {
    const body = { ...bodyOf(message), ...this.#branch, whenBusy: 'wait', run: this.#run };
    const held = () =>
      this.#access.json<WriteJson>(
        'POST',
        `${pathOf(this.#chat)}/messages`,
        body,
        AbortSignal.any([this.#access.ended, AbortSignal.timeout(HELD)]),
      );
    return this.#untilIdle(held);
  }

  /** The server holds a message for a minute at most; an answer may take longer. */
  async #untilIdle(attempt: () => Promise<WriteJson>): Promise<WriteJson> {
    for (;;) {
      try {
        return await attempt();
      } catch (error) {
        if (!isCode(error, 'run_in_progress') || this.#signal?.aborted) throw error;
      }
    }
  }

  async #edit(message: ChatMessage, id: string): Promise<WriteJson> {
    const known = this.#nameOf(id);
    const path = `${pathOf(this.#chat)}/messages/${encodeURIComponent(known)}`;
    const { parts } = message;
    const answer = await this.#access.json<WriteJson>('PATCH', path, { id: mint(), parts, run: this.#run });
    this.#renamed.set(id, answer.message.id);
    return answer;
  }

  async #start(place: { branch?: string }, answer: string | undefined): Promise<RunJson> {
    const body = { ...place, ...this.#run, ...(answer === undefined ? {} : { regenerate: answer }) };
    const { run } = await this.#access.json<{ run: RunJson }>('POST', `${pathOf(this.#chat)}/runs`, body);
    return run;
  }

  /** The message after this one on its branch, if it is an answer. */
  async #answerTo(question: ChatMessage): Promise<{ branch: string; answer?: string }> {
    const id = this.#nameOf(question.id);
    // From the question on: it is the first of the two.
    const query = new URLSearchParams({ anchor: `message:${id}`, before: '0', after: '2', ...this.#branch });
    const window = await this.#access.json<WindowJson>('GET', `${pathOf(this.#chat)}/messages?${query}`);
    const depth = window.messages.find(message => message.id === id)?.depth ?? -1;
    const answer = window.messages.find(message => message.depth > depth && message.role === 'assistant');
    return { branch: window.branch, ...(answer ? { answer: answer.id } : {}) };
  }

  #nameOf(id: string): string {
    return this.#renamed.get(id) ?? id;
  }
}

function bodyOf({ id, role, parts, metadata }: ChatMessage) {
  return { id, role, parts, ...(metadata === undefined ? {} : { metadata }) };
}

/** The failure is nobody's to hear. */
function ignore(): void {}

function pathOf(thread: string): string {
  return `/threads/${encodeURIComponent(thread)}`;
}

function isCode(error: unknown, ...codes: string[]): boolean {
  return error instanceof ProblemError && codes.includes(error.code);
}

/** The thread is there already, with another beginning. */
function isTaken(error: unknown): boolean {
  return isCode(error, 'id_taken', 'idempotency_key_reused');
}

/** For `catch`: what is not there is `undefined`. */
function notFound(...codes: string[]): (error: unknown) => undefined {
  return error => {
    if (!isCode(error, ...codes)) throw error;
  };
}
