//! A server that wants signed tokens, and what a user does there.

import { randomUUID } from 'node:crypto';
import { serve, until } from '../processes.mjs';

/** Milliseconds between two looks, and until one has to have succeeded. */
const LOOK = 40;
const PATIENCE = 20_000;

/** Starts a server on a free port, with `--auth token`. */
export async function startThreadmill(binary, data, secret) {
  const env = { ...process.env, THREADMILL_AUTH_SECRET: secret };
  const words = ['serve', '--listen', '127.0.0.1:0', '--data', data, '--no-sample', '--auth', 'token'];
  const server = serve(binary, words, undefined, env);
  const url = await until(server, () => /(http:\/\/127\.0\.0\.1:\d+)/.exec(server.output)?.[1]);
  return { url, stop: server.stop };
}

/** Looks until what is seen is wanted. */
export async function eventually(what, look, wanted) {
  let seen;
  for (const deadline = performance.now() + PATIENCE; performance.now() < deadline; ) {
    seen = await look();
    if (wanted(seen)) return seen;
    await new Promise(resolve => setTimeout(resolve, LOOK));
  }
  throw new Error(`${what}: ${JSON.stringify(seen)?.slice(0, 2_000)}`);
}

export const textOf = message => message.parts.map(part => (part.type === 'text' ? part.text : '')).join('');

/** What a user may do with the token that their login gave them. */
export class User {
  constructor(url, token) {
    this.url = url;
    this.authorization = `Bearer ${token}`;
  }

  async ask(path, body) {
    const headers = { authorization: this.authorization, 'content-type': 'application/json' };
    const init = body === undefined ? { headers } : { headers, method: 'POST', body: JSON.stringify(body) };
    const response = await fetch(`${this.url}/v1${path}`, init);
    const answer = await response.json();
    if (!response.ok) throw new Error(`${path}: ${JSON.stringify(answer)}`);
    return answer;
  }

  /** A new thread with a first message. */
  async begin(text) {
    const id = randomUUID();
    await this.ask('/threads', { id, message: { id: randomUUID(), parts: [{ type: 'text', text }] } });
    return id;
  }

  say(thread, text) {
    return this.ask(`/threads/${thread}/messages`, { id: randomUUID(), parts: [{ type: 'text', text }] });
  }

  async messages(thread) {
    return (await this.ask(`/threads/${thread}/messages?before=200`)).messages;
  }

  async whole(thread, message) {
    return (await this.ask(`/threads/${thread}/messages/${message}`)).message;
  }

  stop(run) {
    return this.ask(`/runs/${run}/stop`, {});
  }
}
