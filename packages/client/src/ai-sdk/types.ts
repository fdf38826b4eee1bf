//! The AI SDK's words as far as the transport uses them. Written out, so that apps without the SDK install nothing
//! and any of its versions from 5 on fits; a test holds them against the SDK's own types.

type ToolCall = { toolCallId: string; dynamic?: boolean };
type ToolInput = ToolCall & { toolName: string; input: unknown };

/** A step of a streamed answer. */
export type UIMessageChunk =
  | { type: 'start'; messageId: string }
  | { type: 'start-step' }
  | { type: 'text-start' | 'text-end' | 'reasoning-start' | 'reasoning-end'; id: string }
  | { type: 'text-delta' | 'reasoning-delta'; id: string; delta: string }
  | (ToolCall & { type: 'tool-input-start'; toolName: string })
  | { type: 'tool-input-delta'; toolCallId: string; inputTextDelta: string }
  | (ToolInput & { type: 'tool-input-available' })
  | (ToolInput & { type: 'tool-input-error'; errorText: string })
  | (ToolCall & { type: 'tool-output-available'; output: unknown })
  | (ToolCall & { type: 'tool-output-error'; errorText: string })
  | { type: 'source-url'; sourceId: string; url: string; title?: string }
  | { type: 'source-document'; sourceId: string; mediaType: string; title: string; filename?: string }
  | { type: 'file'; url: string; mediaType: string }
  | { type: `data-${string}`; id?: string; data: unknown }
  | { type: 'message-metadata'; messageMetadata: unknown }
  | { type: 'finish-step' }
  | { type: 'finish' }
  | { type: 'abort' }
  | { type: 'error'; errorText: string };

/** A message as `useChat` holds it. */
export interface ChatMessage {
  readonly id: string;
  readonly role: 'system' | 'user' | 'assistant';
  readonly parts: readonly { readonly type: string }[];
  readonly metadata?: unknown;
}

export interface SendMessagesOptions {
  readonly trigger: 'submit-message' | 'regenerate-message';
  readonly chatId: string;
  readonly messageId: string | undefined;
  readonly messages: readonly ChatMessage[];
  readonly abortSignal: AbortSignal | undefined;
  /** Of the request's `body`, `provider` says who answers and `branch` where. */
  readonly body?: object;
}

export interface ReconnectOptions {
  readonly chatId: string;
  readonly abortSignal?: AbortSignal | undefined;
}

/** What `useChat` takes as its `transport`. */
export interface ChatTransport {
  /** A stream that is taken up again begins with all that was written so far. */
  readonly resumeStreamIsReplay: true;
  sendMessages(options: SendMessagesOptions): Promise<ReadableStream<UIMessageChunk>>;
  reconnectToStream(options: ReconnectOptions): Promise<ReadableStream<UIMessageChunk> | null>;
}
