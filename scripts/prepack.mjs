//! What npm runs before it packs one of `packages/*`, in that package's folder: builds it, so that a tarball of a fresh
//! checkout has code in it, or ends with what is missing. Prints to the error output: a packer's own output is a name.

import { spawnSync } from 'node:child_process';
import { copyFileSync, existsSync, rmSync } from 'node:fs';
import { basename } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('..', import.meta.url));
const at = path => `${root}${path}`;

function fail(message) {
  process.stderr.write(`prepack: ${message}\n`);
  process.exit(1);
}

/** Runs a command in a folder of the checkout. False if it cannot be run or fails. */
function run(command, args, folder) {
  const { status } = spawnSync(command, args, { cwd: folder, stdio: ['ignore', 2, 2] });
  return status === 0;
}

function build(name) {
  if (!run('npm', ['run', '--silent', 'build'], at(`packages/${name}`)))
    fail(`packages/${name} does not build.`);
}

const name = basename(process.cwd());
const core = at('packages/client/wasm/threadmill.wasm');
if (!existsSync(at('node_modules/.bin/tsc')))
  fail('The compiler is not installed: run `npm ci` in the checkout first.');
/** What a package is compiled against, which is built first; all of it wants the core. */
const BELOW = { client: [], react: ['client'], 'assistant-ui': ['client', 'react'] };
const below = BELOW[name];
if (below && !existsSync(core) && !(run('cargo', ['xtask', 'wasm'], root) && existsSync(core)))
  fail(
    'The core is not built: run `cargo xtask wasm` in the checkout first. It needs Rust, from https://rustup.rs.',
  );
for (const other of below ?? []) if (!existsSync(at(`packages/${other}/dist/index.d.ts`))) build(other);
// Files that moved since the last build are not to be packed twice.
rmSync('dist', { recursive: true, force: true });
build(name);
copyFileSync(at('LICENSE'), 'LICENSE');
