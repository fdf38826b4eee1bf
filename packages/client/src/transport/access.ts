//! Where the server is and as whom it is spoken to: the address, the credential, and requests that are
//! repeated until they are answered.
//!
//! Room `transport`: how the server is reached: the address and the credential, requests, the socket and what stands in
//! for it. It shows nothing and keeps nothing, and what becomes of a write is decided elsewhere.

import { soon, unlessAborted } from '../page/promises.js';
import { mint } from '../words/ids.js';
import { isObject, jsonOf } from '../words/json.js';
import { ORIGIN_REFUSED, type Problem, ProblemError, problemOf, unreachable } from '../words/problem.js';
import type { Client, ClientOptions } from '../words/types.js';
import type { OriginCheck } from './origin.js';

/** Tries of one request. */
const TRIES = 4;
/** Milliseconds: the first wait is at most this, each further one at most twice the one before. */
const WAIT = 300;

/** Whose things they are where nobody is named. */
const SOMEBODY = 'local';
/** Milliseconds that a request may take which sets itself no limit, and `getToken`. */
const DEADLINE = 30_000;

const USER_CHANGED: Problem = { code: 'user_changed', detail: 'Another user.', status: 401 };

export class Access {
  /** The API's base path, without a slash at the end. */
  readonly base: string;
  /** The name for the server's development identity; with a credential, its user. */
  readonly user: string | undefined;
  readonly #getToken: ClientOptions['getToken'];
  readonly #end = new AbortController();
  #token: string | undefined;
  /** When the token runs out by this browser's clock; never, if that cannot be known. */
  #expires = Number.POSITIVE_INFINITY;
  /** The credential that is being asked for: however many wait for it, it is asked for once. */
  #renewing: Promise<string | undefined> | undefined;
  #origin: Promise<OriginCheck> | undefined;
  /** Whom the credentials name. */
  #subject: string | undefined;

  constructor(options: Pick<ClientOptions, 'url' | 'user' | 'getToken'>) {
    const origin = new URL(options.url ?? '/', globalThis.location?.href).href.replace(/\/$/, '');
    this.base = `${origin}/v1`;
    this.user = options.user;
    this.#getToken = options.getToken;
  }

  /** Tells users and servers apart in what the browser keeps and among its tabs. */
  get name(): string {
    return `${this.user ?? this.#subject ?? SOMEBODY}@${this.base}`;
  }

  /** Whether the server knows who asks without being told. */
  get isPlain(): boolean {
    return this.user === undefined && !this.#getToken;
  }

  /** Aborted when no request is made any more; the reason says why. */
  get ended(): AbortSignal {
    return this.#end.signal;
  }

  /** Waits for the first credential, which names whose things are to be shown. False if nobody can tell in time. */
  async identify(): Promise<boolean> {
    if (this.user !== undefined || !this.#getToken) return true;
    return (await soon(this.renew().catch(() => undefined))) !== undefined;
  }

  /** No request is made any more, and those under way are given up. */
  end(problem: Problem): void {
    this.#end.abort(new ProblemError(problem));
  }

  /**
   * One request. A credential that is refused is asked for again, once. It may take half a minute, or as long as its
   * own signal lets it.
   */
  async fetch(path: string, init: RequestInit = {}): Promise<Response> {
    const signal = AbortSignal.any([this.ended, init.signal ?? AbortSignal.timeout(DEADLINE)]);
    let used: string | undefined;
    const send = async () => {
      used = await this.#credentialFor(signal, init.signal);
      return fetch(this.base + path, { ...this.#signed(init, used), signal });
    };
    const response = await send();
    if (response.status !== 401 || !this.#getToken) return response;
    // Another request may have been refused before, and has a new one already.
    if (this.#token === used) this.#token = undefined;
    return send();
  }

  /** Why a request got no answer: the server is out of reach, or refuses pages of this origin. */
  async unanswered(): Promise<ProblemError> {
    const own = globalThis.location?.origin;
    if (!own || own === 'null' || this.base.startsWith(`${own}/`)) return unreachable();
    this.#origin ??= import('./origin.js').then(({ OriginCheck }) => new OriginCheck(this.base));
    try {
      return (await (await soon(this.#origin))?.refusal(own)) ?? unreachable();
    } catch {
      // There is no network for the check either.
      this.#origin = undefined;
      return unreachable();
    }
  }

  /**
   * Sends and reads JSON. What got no answer is sent again: the key makes sure that it has one effect, and is minted
   * where none is given.
   */
  async json<T>(
    method: string,
    path: string,
    body?: unknown,
    signal?: AbortSignal,
    key?: string,
  ): Promise<T> {
    const init = jsonRequest(method, body, key ?? mint());
    if (signal) init.signal = signal;
    const unanswered = () => this.unanswered();
    const over = signal ? AbortSignal.any([this.ended, signal]) : this.ended;
    const response = await persist(() => this.fetch(path, init), over, unanswered);
    return bodyOf(response);
  }

  /** A fresh credential, used from now on; none where nobody gives any. */
  renew(): Promise<string | undefined> {
    this.#renewing ??= this.#renew().finally(() => {
      this.#renewing = undefined;
    });
    return this.#renewing;
  }

  async #renew(): Promise<string | undefined> {
    this.ended.throwIfAborted();
    // All who wait for one ask for it once: one that never comes may not hold them for ever.
    const late = () => AbortSignal.any([this.ended, AbortSignal.timeout(DEADLINE)]);
    const token = this.#getToken && (await unlessAborted(Promise.resolve(this.#getToken()), late()));
    this.ended.throwIfAborted();
    const subject = token === undefined || this.user !== undefined ? undefined : subjectOf(token);
    this.#subject ??= subject;
    if (subject !== this.#subject) this.end(USER_CHANGED);
    this.ended.throwIfAborted();
    this.#token = token;
    const expires = (claimsOf(token ?? '').exp ?? 0) * 1_000;
    // One that has run out already by this browser's clock says that the clock is wrong.
    this.#expires = expires > Date.now() ? expires : Number.POSITIVE_INFINITY;
    return token;
  }

  /** The credential to send; a new one if the last has run out: the refusal may be one that a page cannot read. */
  async #credential(): Promise<string | undefined> {
    if (Date.now() >= this.#expires) this.#token = undefined;
    return this.#token ?? this.renew();
  }

  /** The credential, or why there is none: no server was asked. */
  async #credentialFor(
    signal: AbortSignal,
    own: AbortSignal | null | undefined,
  ): Promise<string | undefined> {
    try {
      return this.#getToken && (await unlessAborted(this.#credential(), signal));
    } catch (error) {
      if (error instanceof ProblemError || own?.aborted) throw error;
      throw new ProblemError({ code: 'no_credential', detail: `getToken: ${String(error)}`, status: 0 });
    }
  }

  #signed(init: RequestInit, token: string | undefined): RequestInit {
    const headers = new Headers(init.headers);
    if (this.user !== undefined) headers.set('x-threadmill-user', this.user);
    if (this.#getToken) headers.set('authorization', `Bearer ${token}`);
    return { ...init, headers };
  }
}

/** What a token says of itself. */
interface Claims {
  sub?: string;
  tenant?: string;
  exp?: number;
}

/** What a token (a JWT) says; nothing if it is none. */
export function claimsOf(token: string): Claims {
  try {
    const json = atob((token.split('.')[1] ?? '').replace(/-/g, '+').replace(/_/g, '/'));
    const claims: unknown = JSON.parse(json);
    return isObject(claims) ? (claims as Claims) : {};
  } catch {
    return {};
  }
}

/** Whom a token names, in their tenant. */
function subjectOf(token: string): string | undefined {
  const { sub, tenant } = claimsOf(token);
  return sub && (tenant ? `${tenant}/${sub}` : sub);
}

/** A request whose repetition has one effect. */
export function jsonRequest(method: string, body: unknown, key: string): RequestInit {
  const headers: Record<string, string> = { accept: 'application/json' };
  if (method !== 'GET') headers['idempotency-key'] = key;
  const json = jsonOf(body);
  if (json === undefined) return { method, headers };
  headers['content-type'] = 'application/json';
  return { method, headers, body: json };
}

export async function bodyOf<T>(response: Response): Promise<T> {
  const text = await response.text();
  return text === '' ? (undefined as T) : (JSON.parse(text) as T);
}

/** Repeats what got no answer, or was told to come back. */
async function persist(
  attempt: () => Promise<Response>,
  signal: AbortSignal,
  unanswered: () => Promise<ProblemError>,
): Promise<Response> {
  for (let tries = 1; ; tries++) {
    const answer = await attempt().catch(unasked);
    signal.throwIfAborted();
    if (answer?.ok) return answer;
    const problem = answer ? await problemOf(answer) : await unanswered();
    // A proxy that answers in the place of a server looks like one that refuses the origin: it may be back in a moment.
    const passes = problem.status === 0 || problem.status === 503 || problem.code === ORIGIN_REFUSED;
    if (!passes || problem.code === 'read_only' || tries === TRIES) throw problem;
    const wait = Math.random() * WAIT * 2 ** (tries - 1) + (problem.retryAfterMs ?? 0);
    await new Promise(resolve => setTimeout(resolve, wait));
    signal.throwIfAborted();
  }
}

/** For `catch`: nothing where there was no answer; a problem says that no server was asked, which is no better soon. */
export function unasked(error: unknown): undefined {
  if (error instanceof ProblemError) throw error;
}

/** How the server is spoken to past the client's own words, and when that has to end. */
interface Bound {
  readonly access: Access;
  readonly closed: AbortSignal;
}

const BOUND = new WeakMap<Client, Bound>();

/** Called by whatever makes a client. */
export function bindAccess(client: Client, access: Access, closed: AbortSignal): void {
  BOUND.set(client, { access, closed });
}

function boundOf(client: Client): Bound {
  const bound = BOUND.get(client);
  if (!bound) throw new Error('This is not a client that createClient made.');
  return bound;
}

export function accessOf(client: Client): Access {
  return boundOf(client).access;
}

/** Aborted when the client is closed. */
export function closedOf(client: Client): AbortSignal {
  return boundOf(client).closed;
}
