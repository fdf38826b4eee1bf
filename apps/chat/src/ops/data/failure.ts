//! Why an answer did not come, in the kinds that the page tells apart.

import { Fields } from './fields';

/**
 * `silent`: nobody answered in time. `token`: the node wants another token. `off`: it serves no such thing. `refused`: it
 * understood and does not do it. `broken`: it failed, or answered something that is no answer.
 */
type FailureKind = 'silent' | 'token' | 'off' | 'refused' | 'broken';

/** What a request met in place of its answer. */
export class Failure extends Error {
  readonly kind: FailureKind;
  readonly code: string;
  readonly hint: string;
  readonly request: string | undefined;

  constructor(kind: FailureKind, code: string, detail: string, hint = '', request?: string) {
    super(detail);
    this.name = 'Failure';
    this.kind = kind;
    this.code = code;
    this.hint = hint;
    this.request = request;
  }
}

function kindOf(status: number): FailureKind {
  if (status === 401) return 'token';
  if (status === 404) return 'off';
  return status >= 500 ? 'broken' : 'refused';
}

/** What a refusal says; a proxy's page says nothing but its status. */
export async function failureOf(response: Response): Promise<Failure> {
  const said = new Fields(await response.json().catch(() => undefined));
  const detail = said.text('detail') || `The node answered ${response.status}.`;
  const request = response.headers.get('threadmill-request-id') ?? undefined;
  return new Failure(
    kindOf(response.status),
    said.text('code') || `http_${response.status}`,
    detail,
    said.text('hint'),
    request,
  );
}

export function silence(): Failure {
  return new Failure(
    'silent',
    'no_answer',
    'The node does not answer.',
    'Is it running, and is it reachable?',
  );
}
