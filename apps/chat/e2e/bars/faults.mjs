//! Faults that can be planted, and the checks that must fail of them. `node e2e/bars/faults.mjs [FAULT...]` plants one
//! after the other and runs its bar: a check that still passes is a check that proves nothing.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const FAULTS = {
  'five frames a second': {
    bar: 'renders',
    check: 'renders: 600 tokens',
    says: 'the text stands still',
  },
  'a lock and a channel for each tab': {
    bar: 'tabs',
    file: 'core/host.ts',
    find: '`threadmill:1:',
    replace: 'Math.random() + `threadmill:1:',
    check: 'tabs: the leader is closed',
    says: '5 connections in steady state',
  },
  'a lock that is given back before the socket is closed': {
    bar: 'tabs',
    file: 'transport/link.ts',
    find: '        setTimeout(resolve, FAREWELL);\n      });\n      socket.close();',
    replace:
      '        setTimeout(resolve, FAREWELL / 1e9);\n      });\n      setTimeout(() => socket.close(), 300);',
    check: 'tabs: the leader is hidden',
    says: 'at most 2 connections',
  },
  'a message between tabs that is applied twice': {
    bar: 'tabs',
    file: 'views/thread.ts',
    find: 'this.#live.known(patch[1])?.append(patch[2], patch[3]);',
    replace:
      'this.#live.known(patch[1])?.append(patch[2], Math.random() < 0.02 ? patch[3] + patch[3] : patch[3]);',
    check: 'tabs: the leader is closed',
    says: 'a gap or a doubled token',
  },
  'tokens that are lost on the way to the screen': {
    bar: 'tabs',
    file: 'views/thread.ts',
    find: 'this.#live.known(patch[1])?.append(patch[2], patch[3]);',
    replace: 'if (Math.random() > 0.02) this.#live.known(patch[1])?.append(patch[2], patch[3]);',
    check: 'tabs: the leader is closed',
    says: 'a gap or a doubled token',
  },
  'a page that cannot be put aside': {
    bar: 'tabs',
    file: 'core/host.ts',
    find: "listen(globalThis, 'pagehide', signal, () => this.#leave());",
    replace: "listen(globalThis, 'unload', signal, () => this.#leave());",
    check: 'tabs: the leader goes to another page',
    says: 'did not keep the page',
  },
  'rows that are never let go': {
    bar: 'memory',
    file: 'views/thread.ts',
    find: 'this.#rows = [...patch[1], ...this.#rows];',
    replace:
      'this.#rows = [...patch[1], ...this.#rows]; ((globalThis as unknown as { kept: unknown[] }).kept ??= []).push(patch[1]);',
    check: 'memory: scroll up',
    says: 'the heap grows',
  },
  'a budget that nobody keeps': {
    bar: 'memory',
    file: 'client.ts',
    find: 'Call.room, 0, options.maxBytes)',
    replace: 'Call.room, 0, options.maxBytes * 100)',
    check: 'memory: 20 threads',
    says: 'MiB held at most',
  },
  'an outbox in memory alone': {
    bar: 'offline',
    file: 'outbox/outbox.ts',
    find: "this.#storage.put('outbox', write.key, entry).then(",
    replace: 'Promise.resolve().then(',
    check: 'offline: 20 sends',
    says: 'thread 0 has',
  },
  'a new identity for every try': {
    bar: 'offline',
    file: 'transport/api.ts',
    find: 'jsonRequest(method, body, key));',
    replace: 'jsonRequest(method, { ...(body as object), id: key + Math.random() }, key + Math.random()));',
    check: 'dies between commit and answer',
    says: 'the thread has',
  },
  'a stop that waits behind what it stops': {
    bar: 'offline',
    file: 'outbox/outbox.ts',
    find: "(kind === 'stop' ? 1 : 0)",
    replace: '0',
    check: 'offline: a stop takes back',
    says: 'waited',
  },
};

/** Runs the fault's check; resolves with whether it failed as it should, and what it said. */
function caught(name) {
  const { bar, check, says } = FAULTS[name];
  return new Promise(done => {
    const bars = spawn(process.execPath, [fileURLToPath(new URL('run.mjs', import.meta.url)), bar], {
      env: { ...process.env, BARS_FAULT: name, CHECK_ONLY: check, THREADMILL_FULL: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    bars.stdout.on('data', bytes => {
      output += bytes;
    });
    bars.on('exit', () => {
      const lines = output.split('\n').filter(line => line.startsWith('FAIL'));
      done({ failed: lines.some(line => line.includes(says)), said: lines.join('\n      ') || output });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.slice(2);
  for (const name of Object.keys(FAULTS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const { failed, said } = await caught(name);
    console.log(`${failed ? 'ok    caught' : 'FAIL  missed'}: ${name}\n      ${said}`);
    if (!failed) process.exitCode = 1;
  }
}
