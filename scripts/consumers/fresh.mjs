//! `npm pack` in a fresh checkout: a tarball with code in it, or a word on what is missing, never an empty one.

import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, readdirSync, symlinkSync } from 'node:fs';
import { dirname, join } from 'node:path';

const PARTS = [
  'packages/client',
  'packages/react',
  'packages/server',
  'scripts',
  'LICENSE',
  'package.json',
  'tsconfig.base.json',
];

const PACKAGES = ['client', 'react', 'server'];

function run(command, args, cwd, env = process.env) {
  const { status, stdout, stderr } = spawnSync(command, args, { cwd, env, encoding: 'utf8' });
  return { status, output: `${stdout}${stderr}` };
}

/** The files that git knows of, as a clone has them. */
function clone(root, folder) {
  const { output } = run('git', ['ls-files', '-z', ...PARTS], root);
  for (const file of output.split('\0').filter(Boolean)) {
    mkdirSync(dirname(join(folder, file)), { recursive: true });
    cpSync(join(root, file), join(folder, file));
  }
}

/** What `npm ci` puts there, this checkout's own packages for those of the other one: its builds are not to be leant on. */
function install(root, folder) {
  const home = join(folder, 'node_modules');
  mkdirSync(join(home, '@threadmill'), { recursive: true });
  for (const name of readdirSync(join(root, 'node_modules')))
    if (name !== '@threadmill') symlinkSync(join(root, 'node_modules', name), join(home, name));
  for (const name of PACKAGES) symlinkSync(join(folder, 'packages', name), join(home, '@threadmill', name));
}

const tarballs = folder => readdirSync(folder).filter(file => file.endsWith('.tgz'));

function refuses(folder, name, word, env) {
  const { status, output } = run('npm', ['pack'], join(folder, 'packages', name), env);
  const packed = tarballs(join(folder, 'packages', name));
  if (status === 0 || packed.length > 0) throw new Error(`${name} was packed without ${word}`);
  if (!output.includes(word)) throw new Error(`${name}: nothing is said of “${word}”:\n${output}`);
}

/** Fails if one of the packages can be packed without its code. */
export function checkFreshCheckout(root, folder) {
  clone(root, folder);
  for (const name of PACKAGES) refuses(folder, name, 'npm ci');
  install(root, folder);
  // Without Rust at hand: what can be had of node alone.
  const withoutRust = {
    ...process.env,
    PATH: `${dirname(process.execPath)}:/usr/bin:/bin`,
    CARGO_HOME: folder,
  };
  refuses(folder, 'client', 'cargo xtask wasm', withoutRust);
  cpSync(join(root, 'packages/client/wasm'), join(folder, 'packages/client/wasm'), { recursive: true });
  for (const name of ['react', 'client', 'server']) {
    const home = join(folder, 'packages', name);
    const { status, output } = run('npm', ['pack'], home);
    const [tarball] = tarballs(home);
    if (status !== 0 || !tarball) throw new Error(`${name} cannot be packed:\n${output}`);
    const { output: list } = run('tar', ['-tzf', tarball], home);
    for (const file of ['LICENSE', 'dist/index.js', 'dist/index.d.ts', ...(name === 'client' ? CORE : [])]) {
      if (!list.includes(`package/${file}\n`))
        throw new Error(`${tarball} of a fresh checkout lacks ${file}`);
    }
  }
}

const CORE = ['wasm/threadmill.wasm', 'dist/inline.js', 'dist/direct/index.js', 'dist/ai-sdk/index.js'];
