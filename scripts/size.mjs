//! The weight of the browser client, against its budget: `npm run size`, after a build. Fails when one is exceeded.

import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'vite';

const KIB = 1024;
/** Brotli bytes, from the design's budgets. React is not counted: whoever uses the hooks has it. */
const BUDGETS = { wasm: 45 * KIB, client: 12 * KIB };

const here = path => fileURLToPath(new URL(path, import.meta.url));
const brotli = bytes =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).byteLength;

/** One entry and what it imports, minified as an app would. */
async function bundle(entry, external) {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      assetsInlineLimit: 0,
      lib: { entry: here(entry), formats: ['es'] },
      rolldownOptions: { external, output: { minify: true } },
    },
  });
  const files = [output].flat().flatMap(result => result.output);
  return Buffer.from(files.map(file => (file.type === 'chunk' ? file.code : '')).join('\n'));
}

const weights = {
  wasm: brotli(readFileSync(here('../packages/client/wasm/threadmill_wasm_bg.wasm'))),
  client: brotli(await bundle('../packages/client/dist/index.js', [])),
  'hooks, beside it': brotli(
    await bundle('../packages/react/dist/index.js', [/^react/, '@threadmill/client']),
  ),
};
for (const [name, bytes] of Object.entries(weights)) {
  const budget = BUDGETS[name];
  const over = budget !== undefined && bytes > budget;
  if (over) process.exitCode = 1;
  const limit = budget === undefined ? '' : ` of ${(budget / KIB).toFixed(1)}`;
  process.stdout.write(`${over ? 'FAIL' : 'ok'}  ${name}: ${(bytes / KIB).toFixed(1)}${limit} KiB brotli\n`);
}
