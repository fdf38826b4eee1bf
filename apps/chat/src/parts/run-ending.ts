//! How an answer ended, in words. What a message says of it is read as data: any value may be anything.

import type { MessageStatus, PreviewPart, Row } from '@threadmill/client';

/** What is to be said under an answer. */
export interface Ending {
  readonly lines: readonly string[];
  /** The provider's own words. */
  readonly said?: string;
}

const STATUS: ReadonlyMap<MessageStatus, string> = new Map([
  ['stopped', 'You stopped this answer.'],
  ['interrupted', 'This answer was interrupted. What arrived is kept.'],
  ['failed', 'This answer failed.'],
]);

/** What to do about a failure. */
const ADVICE: ReadonlyMap<string, string> = new Map([
  ['provider_rate_limited', 'Wait a little and ask again, or check the account’s quota.'],
  ['provider_auth', 'Check the provider’s key in the server’s configuration.'],
  ['provider_quota', 'Check the account at the provider.'],
  ['provider_model_unknown', 'Check the model’s name and the address in the server’s configuration.'],
  [
    'context_too_long',
    'The conversation is too long for this model: begin a new thread or choose another model.',
  ],
  ['content_filtered', 'The provider’s filter ended it: put the question differently.'],
  ['provider_unavailable', 'The provider is busy or out of reach: ask again later.'],
  ['provider_malformed', 'What arrived is kept. If it happens again, the provider’s endpoint has a defect.'],
  ['cut_short', 'What arrived is kept.'],
  ['timeout', 'What arrived is kept. Ask again later.'],
  ['answer_too_long', 'What fits into a message is kept. Ask it to continue.'],
  ['unsupported_part', 'Remove the file, or send it in another format.'],
  ['nothing_to_ask', 'Write something, or attach a file that can be read.'],
]);

const FINISH: ReadonlyMap<string, string> = new Map([
  ['length', 'The answer reached the limit of its length and is not whole. Ask it to continue.'],
  ['content-filter', 'The provider’s filter ended the answer.'],
  ['refusal', 'The model declined to answer this.'],
  ['tool-calls', 'The model asked for a tool; none was run.'],
  ['other', 'The provider ended the answer for a reason of its own.'],
]);

const LONGEST = 2_048;

/** What is looked at of a message: one on the page, or on paper. */
export type Ended = Pick<Row, 'role' | 'run' | 'status' | 'metadata' | 'rev' | 'parts'>;

/** How the answer of a row ended; nothing if there is nothing to say. */
export function endingOf(row: Ended): Ending | undefined {
  if (row.role !== 'assistant' || row.run !== undefined || row.status === 'removed') return undefined;
  const metadata = fields(row.metadata);
  const error = fields(metadata.error);
  const lines: string[] = [];
  const status = STATUS.get(row.status);
  if (status !== undefined) lines.push(status);
  if (row.status === 'failed') lines.push(...failure(error));
  if (row.status === 'complete') lines.push(...finish(metadata, row));
  lines.push(...warnings(metadata.warnings));
  if (lines.length === 0) return undefined;
  const said = row.status === 'failed' ? words(error.providerMessage) : '';
  return { lines: [...new Set(lines)], ...(said && { said: `“${said}”` }) };
}

function failure(error: Fields): string[] {
  const advice = ADVICE.get(words(error.code));
  return [words(error.message), advice ?? ''].filter(Boolean);
}

function finish(metadata: Fields, row: Ended): string[] {
  const line = FINISH.get(words(metadata.finishReason));
  if (line !== undefined) return [line];
  return row.rev > 0 && row.parts.every(saysNothing) ? ['The answer is empty.'] : [];
}

/** Thoughts are no answer. */
function saysNothing(part: PreviewPart): boolean {
  if (part.type === 'text') return typeof part.text !== 'string' || part.text.trim() === '';
  return part.type === 'reasoning' || part.type === 'step-start';
}

function warnings(value: unknown): string[] {
  return Array.isArray(value) ? value.slice(0, 8).map(words).filter(Boolean) : [];
}

type Fields = Readonly<Record<string, unknown>>;

const NONE: Fields = {};

function fields(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : NONE;
}

function words(value: unknown): string {
  return typeof value === 'string' ? value.slice(0, LONGEST) : '';
}
