//! Faults that can be planted, and the checks that must fail of them. `node e2e/bars/faults.mjs [FAULT...]` plants one
//! after the other and runs its bar: a check that still passes is a check that proves nothing.

import { spawn } from 'node:child_process';
import { fileURLToPath } from 'node:url';

export const FAULTS = {
  'a lock for each tab': {
    bar: 'tabs',
    file: 'company.ts',
    find: 'navigator.locks.request(this.#name,',
    replace: 'navigator.locks.request(this.#name + Math.random(),',
    fails: /^FAIL {2}tabs: the leader is closed/m,
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
