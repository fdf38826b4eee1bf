//! Requests to the ops API: the token, a deadline, a bound, and failures in kinds.

import { Failure, failureOf, silence } from './failure';
import { Fields } from './fields';
import { storedToken } from './token';

/** Milliseconds: the server answers within five seconds or says that it could not. */
const PATIENCE = 6_000;
/** Letters of an answer that are parsed: an hour of 200 series is a fifth of that. */
const LONGEST = 8_000_000;

/** What a header can carry of a token. */
const CARRIED = /^[\x20-\x7e]*$/;

/** One request as it is sent. Redirects would carry the token elsewhere. */
export async function request(path: string, init: RequestInit = {}): Promise<Response> {
  const headers = new Headers(init.headers);
  const token = storedToken();
  if (token !== undefined && !CARRIED.test(token)) {
    const hint = 'It has letters that no request can carry. Was something else copied with it?';
    throw new Failure('token', 'token_letters', 'The token cannot be sent.', hint);
  }
  if (token !== undefined) headers.set('authorization', `Bearer ${token}`);
  headers.set('accept', headers.get('accept') ?? 'application/json');
  const response = await fetch(`/ops/api/${path}`, {
    ...init,
    headers,
    cache: 'no-store',
    credentials: 'same-origin',
    redirect: 'error',
  }).catch(() => {
    throw silence();
  });
  if (!response.ok) throw await failureOf(response);
  return response;
}

/** Reads one answer. */
export async function ask<T>(path: string, read: (answer: Fields) => T, signal?: AbortSignal): Promise<T> {
  return answerTo(path, {}, read, signal);
}

/** What an action carries: why it is done, and where it is kept by name, who does it. */
export interface Said {
  readonly why: string;
  readonly who?: string;
}

/** Has something done. Whoever asks says why: it is written down. */
export async function act(path: string, said: Said): Promise<Fields> {
  const init = {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(said),
  };
  return answerTo(path, init, answer => answer);
}

async function answerTo<T>(
  path: string,
  init: RequestInit,
  read: (answer: Fields) => T,
  signal?: AbortSignal,
): Promise<T> {
  const late = AbortSignal.timeout(PATIENCE);
  const response = await request(path, { ...init, signal: signal ? AbortSignal.any([signal, late]) : late });
  const text = await response.text().catch(() => {
    throw silence();
  });
  if (text.length > LONGEST) throw new Failure('broken', 'too_long', 'The answer is too long to be shown.');
  try {
    return read(new Fields(JSON.parse(text)));
  } catch {
    const hint = 'Does something else answer in place of the node, such as a proxy?';
    throw new Failure('broken', 'no_json', 'The answer is not one of the ops API.', hint);
  }
}
