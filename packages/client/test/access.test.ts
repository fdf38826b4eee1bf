//! Requests: signed, repeated with one key, and given up on what asking again would not change.

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { Access, accessOf, bindAccess } from '../src/transport/access.js';
import { RELEASED } from '../src/words/problem.js';
import type { Client } from '../src/words/types.js';
import { token } from './browser.js';

let answers: (Response | Error)[];
let sent: Headers[];

beforeEach(() => {
  vi.useFakeTimers();
  answers = [];
  sent = [];
  vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
    sent.push(new Headers(init.headers));
    const answer = answers.shift() ?? new TypeError('fetch failed');
    if (answer instanceof Error) throw answer;
    return answer;
  });
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

async function write(access: Access): Promise<unknown> {
  const answer = access.json('POST', '/threads', { id: 't' });
  answer.catch(() => {});
  await vi.advanceTimersByTimeAsync(60_000);
  return answer;
}

const refusal = (status: number, code: string) => Response.json({ status, code }, { status });

describe('Access', () => {
  it('repeats what got no answer under the same key, and a later write under another', async () => {
    const access = new Access({ url: 'http://server/', user: 'ann' });
    expect(access.base).toBe('http://server/v1');
    answers = [new TypeError('fetch failed'), refusal(503, 'overloaded'), Response.json({ ok: 1 })];
    expect(await write(access)).toEqual({ ok: 1 });
    answers = [new Response(null, { status: 204 })];
    expect(await write(access)).toBeUndefined();
    const keys = sent.map(headers => headers.get('idempotency-key'));
    expect(new Set(keys.slice(0, 3)).size).toBe(1);
    expect(new Set(keys).size).toBe(2);
    expect(sent.every(headers => headers.get('x-threadmill-user') === 'ann')).toBe(true);
  });

  it('does not repeat a refusal, nor for ever', async () => {
    const access = new Access({ url: 'http://server' });
    answers = [refusal(409, 'tip_moved')];
    await expect(write(access)).rejects.toMatchObject({ code: 'tip_moved' });
    answers = [refusal(503, 'read_only')];
    await expect(write(access)).rejects.toMatchObject({ code: 'read_only' });
    expect(sent.length).toBe(2);
    await expect(write(access)).rejects.toMatchObject({ code: 'unavailable', status: 0 });
    expect(sent.length).toBe(6);
  });

  it('asks for a credential once, again when it is refused, and does not insist', async () => {
    let asked = 0;
    const access = new Access({ url: 'http://server', getToken: () => `token ${++asked}` });
    answers = [Response.json(1), Response.json(2), refusal(401, 'unauthorized'), Response.json(3)];
    expect([await write(access), await write(access), await write(access)]).toEqual([1, 2, 3]);
    expect(sent.map(headers => headers.get('authorization'))).toEqual(
      [1, 1, 1, 2].map(n => `Bearer token ${n}`),
    );
    answers = [refusal(401, 'unauthorized'), refusal(401, 'unauthorized')];
    await expect(write(access)).rejects.toMatchObject({ code: 'unauthorized' });
    expect(asked).toBe(3);
  });

  it('asks once for a credential that many requests wait for, at first and when it is refused', async () => {
    let asked = 0;
    const waiting: ((token: string) => void)[] = [];
    const getToken = () => {
      asked += 1;
      return new Promise<string>(give => waiting.push(give));
    };
    const access = new Access({ url: 'http://server', getToken });
    const all = (count: number) => Promise.all(Array.from({ length: count }, () => access.fetch('/info')));
    answers = Array.from({ length: 20 }, () => new Response());
    const first = all(20);
    await vi.advanceTimersByTimeAsync(1);
    expect([asked, sent.length]).toEqual([1, 0]);
    waiting.shift()?.('one');
    await first;
    answers = [
      ...Array.from({ length: 10 }, () => refusal(401, 'unauthorized')),
      ...Array.from({ length: 10 }, () => new Response()),
    ];
    const again = all(10);
    await vi.advanceTimersByTimeAsync(1);
    expect(asked).toBe(2);
    waiting.shift()?.('two');
    expect((await again).map(({ status }) => status)).toEqual(Array(10).fill(200));
    expect([asked, sent.at(-1)?.get('authorization')]).toEqual([2, 'Bearer two']);
  });

  it('asks all who wait for one that could not be had, and then again', async () => {
    let asked = 0;
    const getToken = () => (++asked === 1 ? Promise.reject(new Error('offline')) : 'token');
    const access = new Access({ url: 'http://server', getToken });
    answers = [new Response()];
    const both = await Promise.allSettled([access.fetch('/info'), access.fetch('/info')]);
    expect(both.map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((await access.fetch('/info')).status).toBe(200);
    expect(asked).toBe(2);
  });

  it('waits for one that never comes no longer than for an answer, and then asks again', async () => {
    const deadlines: AbortController[] = [];
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockImplementation(() => {
      const deadline = new AbortController();
      deadlines.push(deadline);
      return deadline.signal;
    });
    let asked = 0;
    const getToken = () => (++asked === 1 ? new Promise<string>(() => {}) : 'token');
    const access = new Access({ url: 'http://server', getToken });
    answers = [new Response()];
    const requests = Promise.allSettled([access.fetch('/info'), access.fetch('/info')]);
    await vi.advanceTimersByTimeAsync(1);
    for (const deadline of deadlines) deadline.abort(new DOMException('late', 'TimeoutError'));
    expect((await requests).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
    expect((await access.fetch('/info')).status).toBe(200);
    expect([asked, sent.length]).toEqual([2, 1]);
    timeout.mockRestore();
  });

  it('says that there is no credential, and asks for none again by itself', async () => {
    let asked = 0;
    const getToken = () => {
      asked += 1;
      return Promise.reject(new Error('the session has ended'));
    };
    const refusal = { code: 'no_credential', status: 0, message: 'getToken: Error: the session has ended' };
    await expect(write(new Access({ url: 'http://server', getToken }))).rejects.toMatchObject(refusal);
    expect([asked, sent.length]).toEqual([1, 0]);

    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal);
    const never = () => new Promise<string>(() => {});
    const late = write(new Access({ url: 'http://server', getToken: never }));
    late.catch(() => {});
    deadline.abort(new DOMException('late', 'TimeoutError'));
    await expect(late).rejects.toMatchObject({ code: 'no_credential' });
    expect(sent.length).toBe(0);
    timeout.mockRestore();
  });

  it('says that it has ended, also where a request has a signal of its own', async () => {
    const access = new Access({ url: 'http://server' });
    vi.stubGlobal('fetch', (_: string, init: RequestInit) => {
      sent.push(new Headers(init.headers));
      return new Promise((_, reject) =>
        init.signal?.addEventListener('abort', () => reject(new Error('over'))),
      );
    });
    const ended = access.json('GET', '/info', undefined, new AbortController().signal);
    ended.catch(() => {});
    await vi.advanceTimersByTimeAsync(1);
    access.end(RELEASED);
    await vi.advanceTimersByTimeAsync(60_000);
    await expect(ended).rejects.toMatchObject({ code: 'released' });
    expect(sent.length).toBe(1);
  });

  it('takes a token for what it is, whatever it says of itself', async () => {
    for (const claims of ['null', '7', '"text"', '[]', '{"exp":"soon"}', 'no json']) {
      const access = new Access({ url: 'http://server', getToken: () => `a.${btoa(claims)}.b` });
      answers = [new Response()];
      expect((await access.fetch('/info')).status).toBe(200);
    }
  });

  it('asks for another credential when the last has run out, though no answer could say so', async () => {
    let asked = 0;
    const lasts = (seconds: number) => token({ sub: 'ann', exp: Date.now() / 1_000 + seconds, n: ++asked });
    const access = new Access({ url: 'http://server', getToken: () => lasts(8) });
    answers = [Response.json(1), Response.json(2), Response.json(3)];
    await access.fetch('/info');
    await vi.advanceTimersByTimeAsync(7_000);
    await access.fetch('/info');
    expect(asked).toBe(1);
    await vi.advanceTimersByTimeAsync(1_500);
    await access.fetch('/info');
    expect(asked).toBe(2);
    // A clock that is wrong by hours: each token seems to have run out when it comes.
    const early = new Access({ url: 'http://server', getToken: () => lasts(-9_999) });
    answers = [Response.json(1), Response.json(2)];
    await early.fetch('/info');
    await early.fetch('/info');
    expect(asked).toBe(3);
  });

  it('gives a request half a minute, or as long as its own signal lets it', async () => {
    const deadline = new AbortController();
    const timeout = vi.spyOn(AbortSignal, 'timeout').mockReturnValue(deadline.signal);
    const signals: (AbortSignal | null | undefined)[] = [];
    vi.stubGlobal('fetch', async (_: string, init: RequestInit) => {
      signals.push(init.signal);
      return new Response();
    });
    const access = new Access({ url: 'http://server' });
    await access.fetch('/info');
    await access.fetch('/sync', { signal: new AbortController().signal });
    deadline.abort();
    expect(signals.map(signal => signal?.aborted)).toEqual([true, false]);
    expect(timeout.mock.calls).toEqual([[30_000]]);
    timeout.mockRestore();
  });

  it('is found through its client alone', () => {
    const [access, client] = [new Access({ url: 'http://server' }), {} as Client];
    expect(() => accessOf(client)).toThrow('createClient');
    bindAccess(client, access, new AbortController().signal);
    expect(accessOf(client)).toBe(access);
  });
});
