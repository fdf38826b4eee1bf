//! Messages as the server keeps them, as AG-UI has them.

import type { AssistantMessage, Message, UserMessage } from '@ag-ui/core';
import { resultOf, Segments, textOf } from './segments.js';

export type Part = { readonly type: string; readonly [field: string]: unknown };

/** A message of a window. */
export interface StoredMessage {
  readonly id: string;
  readonly role: string;
  readonly status: string;
  readonly parts: readonly Part[];
}

const word = (value: unknown): string => (typeof value === 'string' ? value : '');

/** The messages there that a message here is. */
export function messagesOf(message: StoredMessage): Message[] {
  if (message.role === 'assistant') return answerOf(message);
  if (message.role === 'user') return [questionOf(message)];
  return [{ id: message.id, role: 'system', content: textsOf(message) }];
}

function textsOf({ parts }: StoredMessage): string {
  return parts.map(part => (part.type === 'text' ? word(part.text) : '')).join('');
}

type Content = Exclude<UserMessage['content'], string>;

const MEDIA: Record<string, 'image' | 'audio' | 'video'> = { image: 'image', audio: 'audio', video: 'video' };

function questionOf(message: StoredMessage): UserMessage {
  const { id } = message;
  if (!message.parts.some(({ type }) => type === 'file'))
    return { id, role: 'user', content: textsOf(message) };
  const content = message.parts.flatMap((part): Content => {
    if (part.type === 'text') return [{ type: 'text', text: word(part.text) }];
    if (part.type !== 'file') return [];
    const mimeType = word(part.mediaType);
    const type = MEDIA[mimeType.split('/')[0] ?? ''] ?? ('document' as const);
    return [{ type, source: { type: 'url', value: word(part.url), mimeType } }];
  });
  return { id, role: 'user', content };
}

function answerOf({ id, parts }: StoredMessage): Message[] {
  const segments = new Segments(id);
  const messages: Message[] = [];
  const assistant = (key: string): AssistantMessage => {
    const known = messages.find(message => message.id === key);
    if (known?.role === 'assistant') return known;
    const made: AssistantMessage = { id: key, role: 'assistant' };
    messages.push(made);
    return made;
  };
  for (const part of parts) {
    if (part.type === 'text') assistant(segments.text()).content = word(part.text);
    else if (part.type === 'reasoning')
      messages.push({ id: segments.reasoning(), role: 'reasoning', content: word(part.text) });
    else if (part.type === 'dynamic-tool' || part.type.startsWith('tool-'))
      messages.push(...callOf(part, assistant(segments.call())));
  }
  return messages;
}

/** Adds a call to its message, and gives what came of it. */
function callOf(part: Part, owner: AssistantMessage): Message[] {
  const toolCallId = word(part.toolCallId);
  const name = part.type === 'dynamic-tool' ? word(part.toolName) : part.type.slice('tool-'.length);
  const call = { name, arguments: textOf(part.input) };
  owner.toolCalls = [...(owner.toolCalls ?? []), { id: toolCallId, type: 'function', function: call }];
  const result = { id: resultOf(toolCallId), role: 'tool' as const, toolCallId };
  if (part.state === 'output-available') return [{ ...result, content: textOf(part.output) }];
  if (part.state !== 'output-error') return [];
  return [{ ...result, content: word(part.errorText), error: word(part.errorText) }];
}
