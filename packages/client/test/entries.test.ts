//! The built package in plain Node, without a page: importing an entry starts nothing and touches nothing.

import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { beforeAll, describe, expect, it } from 'vitest';

const folder = fileURLToPath(new URL('..', import.meta.url));

/** Evaluates a module in a fresh Node in the package's folder, where its own name resolves to its exports. */
async function evaluate(code: string): Promise<{ stdout: string; stderr: string }> {
  const args = ['--input-type=module', '--eval', code];
  return promisify(execFile)(process.execPath, args, { cwd: folder, timeout: 10_000 });
}

describe('the entries', () => {
  beforeAll(() => {
    if (!existsSync(`${folder}dist/inline.js`)) throw new Error('Build the package first: npm run build');
  });

  it.each([
    ['', ['ProblemError', 'createClient', 'mint']],
    ['/direct', ['createDirectClient']],
    ['/ai-sdk', ['createChatTransport']],
    ['/inline', ['wasm']],
  ])('@threadmill/client%s is imported without a page, and Node ends by itself', async (entry, names) => {
    // A timer or a connection would keep the process; a global that is read would throw.
    const code = `
      for (const name of ['fetch', 'WebSocket', 'setTimeout', 'setInterval', 'BroadcastChannel', 'localStorage']) {
        Object.defineProperty(globalThis, name, { get: () => { throw new Error(name + ' was touched'); } });
      }
      process.stdout.write(JSON.stringify(Object.keys(await import('@threadmill/client${entry}'))));`;
    const { stdout, stderr } = await evaluate(code);
    expect(stderr).toBe('');
    expect(JSON.parse(stdout)).toEqual(expect.arrayContaining(names));
  });

  it('carries the core inline, ready to be compiled', async () => {
    const { stdout } = await evaluate(`
      const { wasm } = await import('@threadmill/client/inline');
      const { readFileSync } = await import('node:fs');
      const file = readFileSync(new URL(import.meta.resolve('@threadmill/client/core.wasm')));
      const module = await WebAssembly.compile(wasm);
      process.stdout.write(JSON.stringify([file.equals(wasm), WebAssembly.Module.exports(module).length > 0]));`);
    expect(JSON.parse(stdout)).toEqual([true, true]);
  });
});
