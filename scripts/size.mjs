//! The weight of the browser client, against its budget: `npm run size`, after a build. Fails when one is exceeded.

import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { brotliCompressSync, constants } from 'node:zlib';
import { build } from 'vite';

const KIB = 1024;
/** Brotli bytes, from the design's budgets. React is not counted: whoever uses the hooks has it. */
const BUDGETS = { wasm: 45 * KIB, client: 16 * KIB, 'the page: Markdown': 72 * KIB };

const here = path => fileURLToPath(new URL(path, import.meta.url));
const brotli = bytes =>
  brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }).byteLength;

/** The chunks that entries become, minified as an app would, by file name. */
async function bundle(entry, external = []) {
  const output = await build({
    configFile: false,
    logLevel: 'error',
    build: {
      write: false,
      minify: true,
      assetsInlineLimit: 0,
      lib: { entry, formats: ['es'] },
      rolldownOptions: { external, output: { minify: true } },
    },
  });
  const files = [output].flat().flatMap(result => result.output);
  return new Map(files.filter(file => file.type === 'chunk').map(chunk => [chunk.fileName, chunk]));
}

/** The names of a chunk and all it imports before it runs. */
function eager(chunks, name, found = new Set()) {
  if (!chunks.has(name) || found.has(name)) return found;
  found.add(name);
  for (const imported of chunks.get(name).imports) eager(chunks, imported, found);
  return found;
}

/** Chunks are compressed one by one, as they are sent. */
function weigh(chunks, names) {
  return [...names].reduce((sum, name) => sum + brotli(chunks.get(name).code), 0);
}

function entryOf(chunks, name) {
  return [...chunks.values()].find(chunk => chunk.isEntry && chunk.name === name).fileName;
}

/** The chunks of an app that is this script alone. */
async function app(script) {
  const entry = join(tmpdir(), `threadmill-size-${process.pid}.js`);
  writeFileSync(entry, script);
  const output = await build({
    configFile: false,
    logLevel: 'error',
    root: here('..'),
    build: { write: false, minify: true, modulePreload: false, rolldownOptions: { input: { app: entry } } },
  });
  rmSync(entry);
  const files = [output].flat().flatMap(result => result.output);
  return new Map(files.filter(file => file.type === 'chunk').map(chunk => [chunk.fileName, chunk]));
}

/** What an app loads with the client, and what the client loads only when it is needed. */
async function clientWeights() {
  const client = here('../packages/client/dist/index.js');
  const chunks = await app(`import { createClient } from '${client}'; window.createClient = createClient;`);
  const first = eager(chunks, entryOf(chunks, 'app'));
  // Whatever loads something when it is needed brings the bundler's way to do so: an app has that once, with or
  // without this client.
  const lazy = here('../packages/client/dist/words/ids.js');
  const loader = await app(`window.load = () => import('${lazy}');`);
  const own = weigh(chunks, first) - weigh(loader, eager(loader, entryOf(loader, 'app')));
  const weights = { client: own };
  for (const chunk of chunks.values()) {
    if (!first.has(chunk.fileName))
      weights[`loaded when needed: ${chunk.name}`] = weigh(chunks, [chunk.fileName]);
  }
  return weights;
}

/** What a further entry costs an app that has the client. */
async function besideClient(name, path) {
  const entries = { client: here('../packages/client/dist/index.js'), [name]: here(path) };
  const chunks = await bundle(entries);
  const first = eager(chunks, entryOf(chunks, 'client'));
  const added = [...eager(chunks, entryOf(chunks, name))].filter(chunk => !first.has(chunk));
  return { [`${name}, beside it`]: weigh(chunks, added) };
}

const hooks = await bundle({ hooks: here('../packages/react/dist/index.js') }, [
  /^react/,
  '@threadmill/client',
]);
const weights = {
  wasm: brotli(readFileSync(here('../packages/client/wasm/threadmill.wasm'))),
  ...(await clientWeights()),
  // Beside the page, and loaded with the first message that needs it.
  'the page: Markdown': brotli(readFileSync(here('../apps/chat/wasm/markdown.wasm'))),
  ...(await besideClient('direct', '../packages/client/dist/direct/index.js')),
  ...(await besideClient('ai-sdk', '../packages/client/dist/ai-sdk/index.js')),
  'hooks, beside it': weigh(hooks, hooks.keys()),
};
for (const [name, bytes] of Object.entries(weights)) {
  const budget = BUDGETS[name];
  const over = budget !== undefined && bytes > budget;
  if (over) process.exitCode = 1;
  const limit = budget === undefined ? '' : ` of ${(budget / KIB).toFixed(1)}`;
  process.stdout.write(`${over ? 'FAIL' : 'ok'}  ${name}: ${(bytes / KIB).toFixed(1)}${limit} KiB brotli\n`);
}
