//! The public vocabulary: what hooks and apps see.

import type { ProblemError } from './problem.js';

export type MessageStatus = 'complete' | 'streaming' | 'stopped' | 'interrupted' | 'failed' | 'removed';

/** A part as the AI SDK's `UIMessage` has it. */
export interface Part {
  readonly type: string;
  readonly [key: string]: unknown;
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
 * writes it, `parts` is what it had when that last happened, and the text is in `stream(id)`.
 */
export interface Row {
  readonly id: string;
  readonly role: 'system' | 'user' | 'assistant';
  readonly parts: readonly Part[];
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
}

export interface ThreadSnapshot {
  readonly status: 'loading' | 'ready' | 'error' | 'deleted';
  readonly error?: ProblemError;
  readonly rows: readonly Row[];
  /** Depth of the first row: it falls as older rows come, and list libraries keep their place by it. */
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
  /** Nothing follows. */
  end(): void;
}

export interface StreamHandle {
  /** All text of the message so far. */
  text(): string;
  /** Calls the sink at most once a frame; the returned function stops that. */
  attach(sink: StreamSink): () => void;
}

export interface ThreadHandle extends Store<ThreadSnapshot> {
  readonly threadId: string;
  loadOlder(): Promise<{ added: number; hasOlder: boolean }>;
  loadNewer(): Promise<{ added: number; hasNewer: boolean }>;
  jumpTo(anchor: Anchor): Promise<void>;
  switchBranch(branch: string): Promise<void>;
  /** Says whether the reader is at the live edge: only then the window follows the tip. */
  setFollow(follow: boolean): void;
  stream(messageId: string): StreamHandle;
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
  readonly error?: ProblemError;
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
  readonly error?: ProblemError;
}

export interface ServerInfo {
  version: string;
  node: string;
  tenant: string;
  user: string;
  providers: { name: string; title: string; note?: string }[];
  limits: Record<string, number>;
}

export interface CreateThreadInput {
  message?: string | Part[];
  title?: string;
  run?: boolean;
  provider?: string;
}

export interface SendInput {
  text?: string;
  parts?: Part[];
  branch?: string;
  after?: string;
  run?: boolean;
  provider?: string;
}

export interface EditInput {
  text: string;
  branch?: string;
  run?: boolean;
}

export interface RegenerateInput {
  branch?: string;
  provider?: string;
}

export interface Client {
  readonly status: Store<SyncStatus>;
  info(): Promise<ServerInfo>;
  /** A live window; one for each thread and branch, counted: every call needs its `release`. */
  thread(id: string, options?: { branch?: string; anchor?: Anchor }): ThreadHandle;
  /** The live list, or with a title those whose title contains it. Counted like `thread`. */
  threads(options?: { title?: string }): ListHandle;
  createThread(input: CreateThreadInput): Promise<{ threadId: string }>;
  send(threadId: string, input: SendInput): Promise<{ messageId: string; runId?: string }>;
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
  wholePart(threadId: string, messageId: string, part: number): Promise<Part>;
  close(): void;
}

export interface ClientOptions {
  /** The server; the page's own origin if none is given. */
  url?: string;
  /** With the server's development identity: who this is. */
  user?: string;
  wasm: URL | string | Response | BufferSource | WebAssembly.Module;
}
