//! The client interface, for developing the page before the client exists. Development only.

export type MessageStatus = 'complete' | 'streaming' | 'stopped' | 'interrupted' | 'failed' | 'removed';
export interface Part {
  readonly type: string;
  readonly [key: string]: unknown;
}
export type Anchor =
  | { at: 'tip' }
  | { at: 'depth'; depth: number }
  | { at: 'message'; id: string }
  | { at: 'time'; ms: number };
export interface Store<T> {
  subscribe(listener: () => void): () => void;
  getSnapshot(): T;
}
export interface ForkOption {
  branch: string;
  message: string;
}
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
  readonly fork?: { index: number; total: number; previous?: ForkOption; next?: ForkOption };
  readonly run?: string;
  readonly previews?: readonly { part: number; bytes: number }[];
}
export interface ThreadSnapshot {
  readonly status: 'loading' | 'ready' | 'error' | 'deleted';
  readonly error?: ProblemError;
  readonly rows: readonly Row[];
  readonly firstIndex: number;
  readonly total: number;
  readonly hasOlder: boolean;
  readonly hasNewer: boolean;
  readonly loadingOlder: boolean;
  readonly loadingNewer: boolean;
  readonly branch?: string;
  readonly defaultBranch?: string;
  readonly title?: string;
  readonly run?: { id: string; message: string; status: 'live' | 'stopping' };
}
export interface StreamSink {
  reset(text: string): void;
  append(delta: string): void;
  end(): void;
}
export interface StreamHandle {
  text(): string;
  attach(sink: StreamSink): () => void;
}
export interface ThreadHandle extends Store<ThreadSnapshot> {
  readonly threadId: string;
  loadOlder(): Promise<{ added: number; hasOlder: boolean }>;
  loadNewer(): Promise<{ added: number; hasNewer: boolean }>;
  jumpTo(anchor: Anchor): Promise<void>;
  switchBranch(branch: string): Promise<void>;
  setFollow(follow: boolean): void;
  stream(messageId: string): StreamHandle;
  release(): void;
}
export interface ThreadSummary {
  id: string;
  title: string;
  snippet: string;
  running: boolean;
  archived: boolean;
  updatedAt: number;
}
export interface ListSnapshot {
  readonly status: 'loading' | 'ready' | 'error';
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
export interface Client {
  status: Store<SyncStatus>;
  info(): Promise<ServerInfo>;
  thread(id: string, options?: { branch?: string; anchor?: Anchor }): ThreadHandle;
  threads(options?: { title?: string }): ListHandle;
  createThread(input: {
    message?: string | Part[];
    title?: string;
    run?: boolean;
    provider?: string;
  }): Promise<{ threadId: string }>;
  send(
    threadId: string,
    input: {
      text?: string;
      parts?: Part[];
      branch?: string;
      after?: string;
      run?: boolean;
      provider?: string;
    },
  ): Promise<{ messageId: string; runId?: string }>;
  edit(
    threadId: string,
    messageId: string,
    input: { text: string; branch?: string; run?: boolean },
  ): Promise<{ messageId: string; branch: string; forked: boolean; runId?: string }>;
  regenerate(
    threadId: string,
    messageId: string,
    input?: { branch?: string; provider?: string },
  ): Promise<{ runId: string; messageId: string; branch: string }>;
  stop(runId: string): Promise<void>;
  removeMessage(threadId: string, messageId: string): Promise<void>;
  renameThread(id: string, title: string): Promise<void>;
  archiveThread(id: string, archived: boolean): Promise<void>;
  deleteThread(id: string): Promise<void>;
  wholePart(threadId: string, messageId: string, part: number): Promise<Part>;
  close(): void;
}
export class ProblemError extends Error {
  constructor(
    readonly code: string,
    readonly hint: string,
    readonly status: number,
    readonly retryAfterMs?: number,
  ) {
    super(hint);
  }
}
