//! Faults that can be planted, and the checks that must fail of them. `node e2e/bars/faults.mjs [FAULT...]` plants one
//! after the other and runs its bar: a check that still passes is a check that proves nothing.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const FAULTS = {
  'five frames a second': {
    bar: 'renders',
    fails: /^FAIL {2}renders: .*the text stands still/m,
  },
  'a lock for each tab': {
    bar: 'tabs',
    file: 'company.ts',
    find: 'navigator.locks.request(this.#name,',
    replace: 'navigator.locks.request(this.#name + Math.random(),',
    fails: /^FAIL {2}tabs: the leader is closed/m,
  },
  'a lock that is given back before the socket is closed': {
    bar: 'tabs',
    file: 'host.ts',
    find: 'void this.#link.disconnect().then(() => this.#role',
    replace: 'void Promise.resolve(setTimeout(() => this.#link.disconnect(), 300)).then(() => this.#role',
    fails: /^FAIL {2}tabs: the leader is hidden/m,
  },
  'a message between tabs that is applied twice': {
    bar: 'tabs',
    file: 'thread.ts',
    find: 'this.#streams.get(patch[1])?.append(patch[2]);',
    replace: 'this.#streams.get(patch[1])?.append(Math.random() < 0.02 ? patch[2] + patch[2] : patch[2]);',
    fails: /^FAIL {2}tabs: the leader is closed.*a gap or a doubled token/m,
  },
  'tokens that are lost on the way to the screen': {
    bar: 'tabs',
    file: 'thread.ts',
    find: 'this.#streams.get(patch[1])?.append(patch[2]);',
    replace: 'if (Math.random() > 0.02) this.#streams.get(patch[1])?.append(patch[2]);',
    fails: /^FAIL {2}tabs: the leader is closed.*a gap or a doubled token/m,
  },
  'a page that cannot be put aside': {
    bar: 'tabs',
    file: 'host.ts',
    find: "listen(globalThis, 'pagehide', signal, () => this.#leave());",
    replace: "listen(globalThis, 'unload', signal, () => this.#leave());",
    fails: /^FAIL {2}tabs: the leader goes to another page/m,
  },
  'rows that are never let go': {
    bar: 'memory',
    file: 'thread.ts',
    find: 'this.#rows = [...patch[1], ...this.#rows];',
    replace:
      'this.#rows = [...patch[1], ...this.#rows]; ((globalThis as unknown as { kept: unknown[] }).kept ??= []).push(patch[1]);',
    fails: /^FAIL {2}memory: scroll .*the heap grows/m,
  },
  'a budget that nobody keeps': {
    bar: 'memory',
    file: 'client.ts',
    find: 'core.room(options.maxBytes)',
    replace: 'core.room(options.maxBytes * 100)',
    fails: /^FAIL {2}memory: 20 threads/m,
  },
  'an outbox in memory alone': {
    bar: 'offline',
    file: 'outbox.ts',
    find: "this.#storage.put('outbox', write.key, entry).then(",
    replace: 'Promise.resolve().then(',
    fails: /^FAIL {2}offline: 20 sends/m,
  },
  'a new identity for every try': {
    bar: 'offline',
    file: 'api.ts',
    find: 'jsonRequest(method, body, key));',
    replace:
      'jsonRequest(method, { ...(body as object), id: `${key}-${Math.random()}` }, `${key}-${Math.random()}`));',
    fails: /^FAIL {2}offline: .*dies between commit and answer/m,
  },
  'a stop that waits behind what it stops': {
    bar: 'offline',
    file: 'outbox.ts',
    find: "kind === 'stop', tried",
    replace: 'false, tried',
    fails: /^FAIL {2}offline: a stop takes back/m,
  },
};

/** Runs the fault's bar; resolves with whether the check failed, and the lines of all that did. */
function caught(name) {
  const { bar, fails } = FAULTS[name];
  return new Promise(done => {
    const bars = spawn(process.execPath, [fileURLToPath(new URL('run.mjs', import.meta.url)), bar], {
      env: { ...process.env, BARS_FAULT: name, THREADMILL_FULL: '' },
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    let output = '';
    bars.stdout.on('data', bytes => {
      output += bytes;
    });
    bars.on('exit', () => {
      done({ failed: fails.test(output), lines: output.split('\n').filter(line => line.startsWith('FAIL')) });
    });
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const wanted = process.argv.slice(2);
  for (const name of Object.keys(FAULTS)) {
    if (wanted.length > 0 && !wanted.includes(name)) continue;
    const { failed, lines } = await caught(name);
    console.log(`${failed ? 'ok    caught' : 'FAIL  missed'}: ${name}\n      ${lines.join('\n      ')}`);
    if (!failed) process.exitCode = 1;
  }
}
