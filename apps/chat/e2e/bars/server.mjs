//! Servers of the bars' own, on temporary data, and their API.

import { execFile, spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { must, until } from '../checks.mjs';

export const BINARY =
  process.env.THREADMILL_BINARY ??
  fileURLToPath(new URL('../../../../target/debug/threadmill', import.meta.url));

/** Says back what it does not know: `replay` at the pace of a fast model, `slow` at that of a reader, `fast` at once. */
const PROVIDERS = [
  ['replay', 100],
  ['slow', 30],
  ['fast', 20_000],
]
  .map(([name, rate]) => `[[providers]]\nkind = "replay"\nname = "${name}"\ntokens_per_second = ${rate}.0\n`)
  .join('\n');

/** `threadmill` with arguments, to its end. */
export const run = (...args) => promisify(execFile)(BINARY, args, { maxBuffer: 1 << 26 });

/** A directory that `forget` removes. */
export function place(name) {
  return mkdtemp(join(tmpdir(), `threadmill-${name}-`));
}

export const forget = directory => rm(directory, { recursive: true, force: true });

/** A port that nobody listens on. */
export function freePort() {
  return new Promise(done => {
    const probe = createServer().listen(0, '127.0.0.1', () => {
      const { port } = probe.address();
      probe.close(() => done(port));
    });
  });
}

const running = new Set();

/** Ends what a check that failed has left behind. */
export async function endServers() {
  await Promise.all([...running].map(server => server.end('SIGKILL')));
}

export class Server {
  #process;
  #args;
  #output = '';

  /** Starts on `data`, at `port` or any. `args` go to `serve`, and what more it is told is the text `config`. */
  static async start({ data, port = 0, args = [], config: more = '' }) {
    const config = join(data, 'bars.toml');
    await writeFile(config, `${PROVIDERS}\n${more}`);
    const server = new Server();
    server.#args = ['--data', join(data, 'store'), '--config', config, ...args];
    await server.#spawn(port);
    return server;
  }

  async #spawn(port) {
    this.#output = '';
    const started = spawn(BINARY, ['serve', '--listen', `127.0.0.1:${port}`, ...this.#args], {
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    this.#process = started;
    running.add(this);
    const hear = bytes => {
      this.#output += bytes;
    };
    started.stdout.on('data', hear);
    started.stderr.on('data', hear);
    this.url = await until(
      'the server to start',
      () => {
        must(started.exitCode === null, `the server ended: ${this.#output}`);
        return /chat at (http:\S+)\s/.exec(this.#output)?.[1];
      },
      60_000,
    );
  }

  get port() {
    return Number(new URL(this.url).port);
  }

  /** Ends it, with SIGKILL without warning. Resolves when it is gone. */
  async end(signal = 'SIGTERM') {
    const ended = this.#process;
    if (ended.exitCode !== null || ended.signalCode !== null) return;
    const gone = new Promise(done => ended.once('exit', done));
    ended.kill(signal);
    await gone;
    running.delete(this);
  }

  /** Starts it again on the same data and port. */
  async again() {
    await this.#spawn(this.port);
  }

  /** One request; a refusal fails the check with the server's own words. */
  async api(method, path, body, user = 'local') {
    const answer = await fetch(`${this.url}/v1${path}`, {
      method,
      headers: {
        'content-type': 'application/json',
        'x-threadmill-user': user,
        ...(method === 'GET' ? {} : { 'idempotency-key': crypto.randomUUID() }),
      },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    must(answer.ok, `${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
    return text === '' ? undefined : JSON.parse(text);
  }

  /** The sync connections a user has now. */
  async connections(user) {
    return (await this.api('GET', '/me/connections', undefined, user)).connections;
  }

  /** A thread of one message. */
  async thread(user, title, text = 'Before.') {
    const message = { role: 'user', parts: [{ type: 'text', text }] };
    return (await this.api('POST', '/threads', { title, message }, user)).thread.id;
  }

  append(threadId, text, user) {
    const message = { role: 'user', parts: [{ type: 'text', text }] };
    return this.api('POST', `/threads/${threadId}/messages`, message, user);
  }

  /** The newest messages of a thread. */
  async tip(threadId, user, before = 50) {
    return this.api('GET', `/threads/${threadId}/messages?anchor=tip&before=${before}`, undefined, user);
  }

  /** The text of a message whole, as the page joins its parts. */
  async text(threadId, messageId, user) {
    const { message } = await this.api('GET', `/threads/${threadId}/messages/${messageId}`, undefined, user);
    return message.parts
      .filter(part => part.type === 'text')
      .map(part => part.text)
      .join('');
  }

  /** A thread of `count` messages with `text(n)` as the text of each, in a few requests. */
  async imported(id, title, count, text, user) {
    await this.api('POST', '/import/threads', { id, title }, user);
    const main = { branch: { id: 'main', parent: null, forkDepth: 0 } };
    let rows = [main];
    let bytes = 0;
    const flush = async () => {
      if (rows.length > 0) await this.api('POST', `/import/threads/${id}/rows`, { rows }, user);
      [rows, bytes] = [[], 0];
    };
    for (let depth = 0; depth < count; depth += 1) {
      const parts = [{ type: 'text', text: text(depth) }];
      const role = depth % 2 === 0 ? 'user' : 'assistant';
      const row = { id: `${id}-${depth}`, role, parts, status: 'complete', branch: 'main', depth, rev: 1 };
      rows.push({ message: { ...row, createdAt: new Date(1.7e12 + depth * 1_000).toISOString() } });
      bytes += parts[0].text.length;
      if (bytes > 1_000_000 || rows.length >= 500) await flush();
    }
    await flush();
    await this.api('POST', `/import/threads/${id}/finish`, {}, user);
    return id;
  }
}
