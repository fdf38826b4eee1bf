//! The public vocabulary: what hooks and apps see.
//!
//! Room `words`: what all others speak of: the public types, problems, ids, and how JSON is taken apart. It knows no
//! server, no storage and no page, and keeps no state.

import type { ProblemError } from './problem.js';

export type MessageStatus = 'complete' | 'streaming' | 'stopped' | 'interrupted' | 'failed' | 'removed';

/** Exists for the compiler alone: it keeps previews from being taken for parts. */
declare const preview: unique symbol;

/** A part as the AI SDK's `UIMessage` has it, whole. */
export interface Part {
  readonly type: string;
  readonly [preview]?: never;
  readonly [key: string]: unknown;
}

/**
 * A part as a window has it: to be shown, and cut short if it is long. It cannot be passed where a `Part` is wanted:
 * what is edited, copied, quoted or exported is asked for with `whole`, or with `wholeParts` where nothing is cut.
 */
export interface PreviewPart {
  readonly type: string;
  readonly [preview]?: true;
  readonly [key: string]: unknown;
}

/** A message with all it says. */
export interface Message {
  readonly id: string;
  readonly role: 'system' | 'user' | 'assistant';
  readonly parts: readonly Part[];
  readonly status: MessageStatus;
  readonly depth: number;
  readonly branch: string;
  readonly rev: number;
  readonly createdAt: number;
  readonly metadata?: unknown;
}

export type Anchor =
  | { at: 'tip' }
  | { at: 'depth'; depth: number }
  | { at: 'message'; id: string }
  | { at: 'time'; ms: number };

/** What `useSyncExternalStore` takes. The snapshot's identity changes at most once a frame. */
export interface Store<T> {
  subscribe(listener: () => void): () => void;
  getSnapshot(): T;
}

export interface ForkOption {
  readonly branch: string;
  readonly message: string;
}

export interface Fork {
  readonly index: number;
  readonly total: number;
  readonly previous?: ForkOption;
  readonly next?: ForkOption;
}

/**
 * A message. Its identity changes only when something other than streamed text changes: while a run
 * writes it, `parts` is what it had when that last happened. What is written now is in `live(id)`, part by part, and
 * its text alone in `stream(id)`.
 */
export interface Row {
  readonly id: string;
  readonly role: 'system' | 'user' | 'assistant';
  /** For showing only. */
  readonly parts: readonly PreviewPart[];
  readonly status: MessageStatus;
  readonly depth: number;
  readonly branch: string;
  readonly rev: number;
  readonly createdAt: number;
  readonly metadata?: unknown;
  readonly fork?: Fork;
  /** Set while a run writes it. */
  readonly run?: string;
  /** Parts that are cut short, and their whole size; `wholePart` reads them. */
  readonly previews?: readonly { readonly part: number; readonly bytes: number }[];
  /** A write of this browser that concerns the row and that the server has not acknowledged. */
  readonly outbox?: OutboxItem;
}

export type OutboxKind =
  | 'create'
  | 'send'
  | 'edit'
  | 'regenerate'
  | 'remove'
  | 'stop'
  | 'rename'
  | 'archive'
  | 'delete';

/** A write that the server has not acknowledged. Its identity changes when its state does. */
export interface OutboxItem {
  /** Also the idempotency key. */
  readonly key: string;
  readonly kind: OutboxKind;
  readonly threadId: string;
  readonly messageId?: string;
  /** The run it starts or, if `kind` is `stop`, stops. */
  readonly runId?: string;
  /** What a person would recognise it by: the text sent, the new title. */
  readonly text?: string;
  /** What an edit replaces. */
  readonly texts?: readonly TextEdit[];
  /** `pending` waits for its turn or the network, `sending` is on its way, `failed` was refused for good. */
  readonly state: 'pending' | 'sending' | 'failed';
  /** Why it failed. */
  readonly error?: ProblemError;
  readonly createdAt: number;
}

export interface OutboxHandle extends Store<readonly OutboxItem[]> {
  /** Tries a failed item again, behind what waits. */
  retry(key: string): void;
  /** Gives an item up; what waits for it is rejected with `discarded`. */
  discard(key: string): void;
}

/** What was typed and not sent, kept across reloads; each under a name of the app's, such as its thread's id. */
export interface Drafts {
  get(name: string): string;
  set(name: string, text: string): void;
}

export interface ThreadSnapshot {
  readonly status: 'loading' | 'ready' | 'error' | 'deleted';
  /** Why it is `error`; with another status, why the server gives nothing again and again. It goes on being asked. */
  readonly error?: ProblemError;
  /** `cache`: rows kept by this browser, not compared with the server yet. */
  readonly source?: 'cache' | 'live';
  readonly rows: readonly Row[];
  /** Depth of the first row: it falls as older rows come, and list libraries keep their position by it. */
  readonly firstIndex: number;
  readonly total: number;
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  readonly loadingOlder: boolean;
  readonly loadingNewer: boolean;
  readonly branch?: string;
  readonly defaultBranch?: string;
  readonly title?: string;
  readonly run?: { readonly id: string; readonly message: string; readonly status: 'live' | 'stopping' };
}

export interface StreamSink {
  /** The text is now this. Always the first call. */
  reset(text: string): void;
  append(delta: string): void;
  /** Nothing follows, unless a run takes the message up again. */
  end(): void;
}

export interface StreamHandle {
  /** All text of the message so far. */
  text(): string;
  /** Calls the sink at most once a frame; the returned function stops that. */
  attach(sink: StreamSink): () => void;
}

/**
 * What is written of a message, part by part, in the order in which it is stored. The snapshot changes when a part comes
 * or changes otherwise than by more text at its end: a text or reasoning part of it has the text it began with.
 */
export interface LiveHandle extends Store<readonly PreviewPart[]> {
  /** The text of the text or reasoning part at this index. */
  stream(part: number): StreamHandle;
}

export interface ThreadHandle extends Store<ThreadSnapshot> {
  readonly threadId: string;
  loadOlder(): Promise<{ added: number; hasOlder: boolean }>;
  loadNewer(): Promise<{ added: number; hasNewer: boolean }>;
  jumpTo(anchor: Anchor): Promise<void>;
  switchBranch(branch: string): Promise<void>;
  /** Says whether the reader is at the live edge: only then the window follows the tip. */
  setFollow(follow: boolean): void;
  /** The text of a message: that of its text parts, joined. Of a message that no run writes, all of it. */
  stream(messageId: string): StreamHandle;
  /** As `stream`, with reasoning, tools and all else, each in its place. */
  live(messageId: string): LiveHandle;
  release(): void;
}

export interface ThreadSummary {
  readonly id: string;
  readonly title: string;
  readonly snippet: string;
  readonly running: boolean;
  readonly archived: boolean;
  readonly updatedAt: number;
}

export interface ListSnapshot {
  readonly status: 'loading' | 'ready' | 'error';
  /** As of a thread. */
  readonly error?: ProblemError;
  readonly source?: 'cache' | 'live';
  readonly threads: readonly ThreadSummary[];
  readonly hasMore: boolean;
  readonly loadingMore: boolean;
}

export interface ListHandle extends Store<ListSnapshot> {
  loadMore(): Promise<void>;
  release(): void;
}

export interface SyncStatus {
  readonly connection: 'connecting' | 'live' | 'reconnecting' | 'offline' | 'refused';
  /** Why the server refuses this client. */
  readonly error?: ProblemError;
  /**
   * What the server could rely on when it last said so. `degraded`: its cache is away, everything works and may be
   * slower. `read-only`: it takes no writes at the moment; they wait here. The direct engine is not told.
   */
  readonly mode?: 'full' | 'degraded' | 'read-only';
  /** `sync`: windows, live over one connection a browser. `direct`: whole threads by HTTP, polled. */
  readonly engine: 'sync' | 'direct';
  /** Why it is `direct`, if that was not asked for: `flag_off` or `wasm_failed`. */
  readonly reason?: 'flag_off' | 'wasm_failed';
  /** `leader` owns the browser's connection, `follower` reads along, `solo` has one of its own. */
  readonly role: 'leader' | 'follower' | 'solo';
  /** How the connection is made: the later ones where the earlier do not get through. */
  readonly transport: 'socket' | 'events' | 'poll';
  /**
   * `degraded`: the browser's storage failed or is forbidden, so something that was written or typed does not outlive the
   * page. What is kept of the server's (windows, the list) does not count: it is fetched again.
   */
  readonly storage: 'ok' | 'degraded';
  /** Writes that are not acknowledged, failed ones not counted. */
  readonly pending: number;
  readonly failed: number;
}

/** What happened in this tab since it began, and what it holds now. Plain numbers, for tests and monitoring. */
export interface ClientMetrics {
  readonly framesReceived: number;
  readonly framesForwarded: number;
  readonly framesHeard: number;
  readonly connections: number;
  readonly windowsFetched: number;
  /** Threads held, shown or kept for a quick return, and their bytes as the core counts them. */
  readonly threadsHeld: number;
  readonly bytesHeld: number;
  readonly wasmBytes: number;
  /** Rows held of each thread that has any. */
  readonly rowsHeld: readonly number[];
}

export interface ServerInfo {
  version: string;
  node: string;
  tenant: string;
  user: string;
  providers: { name: string; title: string; note?: string }[];
  limits: Record<string, number>;
  /** What it wants reported: nothing, what clients hold (as where it says nothing), or how pages feel as well. */
  rum?: 'off' | 'core' | 'page';
  /** Whether its operator wants to know how the page is used, and what others of the tenant do as a rule, as shares. */
  analytics?: { on: boolean; hints?: { next: number; previous: number; older: number } | null };
}

export interface CreateThreadInput {
  message?: string | Part[];
  title?: string;
  /** Asks for an answer to the message. */
  run?: boolean;
  provider?: string;
}

/** What a reader thinks of an answer, or what went wrong with it. */
export interface FeedbackInput {
  kind: 'up' | 'down' | 'problem';
  /** For the operator to read; the server takes one with `consent` alone. */
  text?: string;
  consent?: boolean;
}

export interface SendInput {
  text?: string;
  parts?: Part[];
  branch?: string;
  after?: string;
  /** Asks for an answer. `client.send` asks for none without it; `useSend` does unless it is `false`. */
  run?: boolean;
  provider?: string;
}

/** A text part by its index in the message, and what it shall say; without `part` it is the only text there is. */
export interface TextEdit {
  readonly part?: number;
  readonly text: string;
}

/**
 * What an edit changes: `texts` in their parts, or `text` in the only text part (of several the server refuses to choose,
 * with `invalid_parts`). All other parts, their order and the metadata stay.
 */
export type EditInput = ({ text: string } | { texts: readonly TextEdit[] }) & {
  branch?: string;
  run?: boolean;
  provider?: string;
  /** The revision of the message that was read. If it has another by now, the edit fails with `message_changed`. */
  rev?: number;
};

export interface RegenerateInput {
  branch?: string;
  provider?: string;
}

export interface Client {
  readonly status: Store<SyncStatus>;
  readonly outbox: OutboxHandle;
  readonly drafts: Drafts;
  /** The feature flags as the server decides them for this user; kept for the next start. */
  readonly flags: Store<Readonly<Record<string, boolean>>>;
  info(): Promise<ServerInfo>;
  /** A live window; one for each thread and branch, counted: every call needs its `release`. */
  thread(id: string, options?: { branch?: string; anchor?: Anchor }): ThreadHandle;
  /** The live list, or with a title those whose title contains it. Counted like `thread`. */
  threads(options?: { title?: string }): ListHandle;
  /** Loads a thread that may be opened soon, if there is room. */
  prefetch(id: string): void;
  /** Resolves when the write is kept by this browser; it is shown at once and sent when that is possible. */
  createThread(input: CreateThreadInput): Promise<{ threadId: string; messageId?: string; runId?: string }>;
  /** As `createThread`. */
  send(threadId: string, input: SendInput): Promise<{ messageId: string; runId?: string }>;
  /** This and the writes below resolve when the server has acknowledged them, however long that takes. */
  edit(
    threadId: string,
    messageId: string,
    input: EditInput,
  ): Promise<{ messageId: string; branch: string; forked: boolean; runId?: string }>;
  regenerate(
    threadId: string,
    messageId: string,
    input?: RegenerateInput,
  ): Promise<{ runId: string; messageId: string; branch: string }>;
  stop(runId: string): Promise<void>;
  removeMessage(threadId: string, messageId: string): Promise<void>;
  renameThread(id: string, title: string): Promise<void>;
  archiveThread(id: string, archived: boolean): Promise<void>;
  deleteThread(id: string): Promise<void>;
  /** A message with all it says, from the server; a window has previews of long parts. */
  whole(threadId: string, messageId: string): Promise<Message>;
  wholePart(threadId: string, messageId: string, part: number): Promise<Part>;
  /** Tells the operator what the reader thinks: of a message, or, of a problem, of the whole. It is counted. */
  feedback(input: FeedbackInput, threadId?: string, messageId?: string): Promise<void>;
  metrics(): ClientMetrics;
  /** Forgets everything this browser keeps for the user, in every tab, and closes. Unsent writes are lost. */
  signOut(): Promise<void>;
  close(): void;
}

/** Where the core is: an address, or what was loaded from one. */
export type WasmSource = URL | string | Response | BufferSource | WebAssembly.Module;

export interface ClientOptions {
  /** The server; the page's own origin if none is given. */
  url?: string;
  /**
   * Who this is: what the browser keeps and what its tabs share is theirs alone. The server's development identity goes
   * by it too. With `getToken` it may be left out if the tokens are JWTs: then it is their `sub`, in their `tenant`.
   * Give it where tokens do not say it, or where what was kept is to be shown before a token can be had.
   */
  user?: string;
  /**
   * A credential for the server; asked for again before it runs out and when the server refuses it. Without `user` the
   * first is waited for, for a moment: while nobody can tell whose it is, nothing is kept. One that names somebody else
   * than those before ends the client: its connection is `refused`, with the code `user_changed`.
   */
  getToken?: () => string | Promise<string>;
  /** The core. Not needed with `engine: 'direct'`. */
  wasm?: WasmSource | Promise<WasmSource>;
  /** `auto` (the default) lets the server's flag `scalable-sync` decide. */
  engine?: 'auto' | 'sync' | 'direct';
  /** `auto` (the default): IndexedDB, memory where that fails. */
  storage?: 'auto' | 'memory';
  /** `auto` (the default): one connection for all tabs. */
  tabs?: 'auto' | 'off';
  /**
   * Whether the client reports to its server what it holds and how the page feels: numbers, which name nobody and
   * nothing. Without it the server decides; it begins ten seconds after the start, and only in a page.
   */
  rum?: boolean;
  /** Bytes of windows held in memory, as the core counts them. The default is 16 MiB. */
  maxBytes?: number;
}
