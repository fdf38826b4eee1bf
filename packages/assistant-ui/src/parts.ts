//! A row of a thread as a message of assistant-ui.

import type { ThreadMessageLike } from '@assistant-ui/react';
import type { Row } from '@threadmill/client';

type Part = Row['parts'][number];
type Content = Exclude<ThreadMessageLike['content'], string>[number];

const word = (value: unknown): string => (typeof value === 'string' ? value : '');

/** How a row is shown; `parts` are those that are written at the moment, if it is written. */
export function likeOf(row: Row, parts: readonly Part[]): ThreadMessageLike {
  const common = {
    id: row.id,
    createdAt: new Date(row.createdAt),
    metadata: { custom: customOf(row) },
  };
  if (row.role === 'assistant')
    return { ...common, role: 'assistant', content: parts.flatMap(answerPart), status: statusOf(row) };
  if (row.role === 'user') return { ...common, role: 'user', content: parts.flatMap(questionPart) };
  // A system message has one text there.
  const text = parts.map(part => (part.type === 'text' ? word(part.text) : '')).join('');
  return { ...common, role: 'system', content: [{ type: 'text', text }] };
}

/** What assistant-ui has no place for. */
function customOf(row: Row): Record<string, unknown> {
  const { status, branch, depth, rev, fork, previews, outbox, metadata } = row;
  return { threadmill: { status, branch, depth, rev, fork, previews, outbox, metadata } };
}

function statusOf(row: Row): NonNullable<ThreadMessageLike['status']> {
  switch (row.status) {
    case 'streaming':
      return { type: 'running' };
    case 'complete':
      return { type: 'complete', reason: 'stop' };
    case 'stopped':
      return { type: 'incomplete', reason: 'cancelled' };
    case 'failed':
      return { type: 'incomplete', reason: 'error', error: errorOf(row) };
    case 'interrupted':
    case 'removed':
      return { type: 'incomplete', reason: 'other' };
  }
}

function errorOf({ metadata }: Row): string {
  const { error } = (metadata ?? {}) as { error?: { message?: unknown } };
  return word(error?.message) || 'The answer failed.';
}

function questionPart(part: Part): Content[] {
  if (part.type === 'text') return [{ type: 'text', text: word(part.text) }];
  if (part.type === 'file') return [fileOf(part)];
  return [dataOf(part)];
}

function answerPart(part: Part): Content[] {
  switch (part.type) {
    case 'text':
      return [{ type: 'text', text: word(part.text) }];
    case 'reasoning':
      return [{ type: 'reasoning', text: word(part.text) }];
    case 'file':
      return [fileOf(part)];
    case 'source-url':
      return [{ ...sourceOf(part), sourceType: 'url', url: word(part.url), title: word(part.title) }];
    case 'step-start':
      return [];
    default:
      return [part.type === 'dynamic-tool' || part.type.startsWith('tool-') ? toolOf(part) : dataOf(part)];
  }
}

function sourceOf(part: Part): { type: 'source'; id: string } {
  return { type: 'source', id: word(part.sourceId) || word(part.url) };
}

function fileOf(part: Part): Content {
  const mimeType = word(part.mediaType);
  const url = word(part.url);
  if (mimeType.startsWith('image/') && /^(https:|blob:|data:image\/)/i.test(url))
    return { type: 'image', image: url };
  const name = word(part.filename);
  return { type: 'file', data: url, mimeType, ...(name && { filename: name }) };
}

function dataOf(part: Part): Content {
  return part.type.startsWith('data-')
    ? { type: part.type as `data-${string}`, data: part.data }
    : { type: `data-${part.type}`, data: part };
}

function toolOf(part: Part): Content {
  const toolName = part.type === 'dynamic-tool' ? word(part.toolName) : part.type.slice('tool-'.length);
  const input = typeof part.input === 'object' && part.input !== null ? part.input : undefined;
  const argsText = typeof part.input === 'string' ? part.input : (JSON.stringify(part.input) ?? '');
  return {
    type: 'tool-call',
    toolCallId: word(part.toolCallId),
    toolName,
    argsText,
    ...(input && !Array.isArray(input) && { args: input as Record<string, never> }),
    ...(part.state === 'output-available' && { result: part.output }),
    ...(part.state === 'output-error' && { result: word(part.errorText), isError: true }),
  };
}
