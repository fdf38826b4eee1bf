//! Runs the recipes of `docs/recipes`, each as its page prints it, in a fresh app over a server that wants signed tokens.
//!
//!   node scripts/recipes/run.mjs BINARY [NAME …]   all of them, or those named

import { randomBytes } from 'node:crypto';
import { cp, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { freePort, run, serve, until } from '../processes.mjs';
import { check } from './checks.mjs';
import { layOut, layOutShared, recipeNames } from './pages.mjs';
import { startThreadmill, User } from './threads.mjs';

const root = fileURLToPath(new URL('../..', import.meta.url));
const say = line => process.stdout.write(`${line}\n`);
const seconds = since => ((performance.now() - since) / 1_000).toFixed(1);

/** Node that a framework wants, where this one is older: an ordinary package, before this one on the path. */
const WANTS_NODE = { mastra: { major: 22, version: '22.23.3' } };

const WHEEL = 'threadmill-0.1.0-py3-none-any.whl';

const QUIET = {
  CI: '1',
  NO_COLOR: '1',
  NEXT_TELEMETRY_DISABLED: '1',
  MASTRA_TELEMETRY_DISABLED: '1',
  PIP_QUIET: '1',
  PIP_DISABLE_PIP_VERSION_CHECK: '1',
  PYTHONUNBUFFERED: '1',
  npm_config_audit: 'false',
  npm_config_fund: 'false',
  npm_config_loglevel: 'error',
  npm_config_prefer_offline: 'true',
};

const shell = (script, cwd, env) => run('bash', ['-euc', script], cwd, env);

/** The packages of this checkout, as the recipes install them. */
async function pack(folder, wants) {
  await mkdir(folder);
  const args = ['pack', '--silent', '-w', 'packages/server', '--pack-destination', folder];
  if (wants('threadmill-server')) await run('npm', args, root, process.env);
  if (!wants(WHEEL)) return;
  // A copy: building a wheel leaves files beside its source.
  await cp(join(root, 'python'), join(folder, 'python'), { recursive: true });
  const wheel = ['-m', 'pip', 'wheel', '--quiet', '--no-deps', '--wheel-dir', folder, join(folder, 'python')];
  await run('python3', wheel, folder, { ...process.env, ...QUIET });
}

/** Two users, with tokens by the code of the page: one in Node, the other in Python, if Python is wanted anyway. */
async function signedIn(folder, env, url, wants) {
  const home = join(folder, 'login');
  await layOutShared(home);
  await shell('npm init -y >/dev/null && npm install jose@6.2.18', home, env);
  const node = user => shell(`node sign.mjs ${user}`, home, env);
  if (!wants(WHEEL)) return [new User(url, await node('ann')), new User(url, await node('bob'))];
  await shell('python3 -m venv env && env/bin/pip install PyJWT==2.15.1', home, env);
  return [
    new User(url, await node('ann')),
    new User(url, await shell('env/bin/python sign.py bob', home, env)),
  ];
}

/** The environment with a Node that is new enough. */
async function withNode(wanted, folder, env) {
  if (!wanted || Number(process.versions.node.split('.')[0]) >= wanted.major) return env;
  await mkdir(folder, { recursive: true });
  await shell(`npm init -y >/dev/null && npm install node@${wanted.version}`, folder, env);
  return { ...env, PATH: `${join(folder, 'node_modules/.bin')}:${env.PATH}` };
}

async function tryRecipe(name, { folder, env: common, user, stranger }) {
  const home = join(folder, name);
  await mkdir(home);
  const commands = await layOut(name, home);
  let begun = performance.now();
  const port = await freePort();
  const env = await withNode(WANTS_NODE[name], join(folder, 'node'), { ...common, PORT: String(port) });
  await shell(commands.install, home, env);
  const installed = seconds(begun);
  begun = performance.now();
  if (commands.build) await shell(commands.build, home, env);
  const built = seconds(begun);
  begun = performance.now();
  const app = serve('bash', ['-euc', commands.start], home, env);
  const url = `http://127.0.0.1:${port}`;
  try {
    await until(app, () => fetch(url).catch(() => undefined));
    const took = await check(app, url, user, stranger);
    const times = `installed in ${installed} s, built in ${built} s, tried in ${seconds(begun)} s`;
    say(`proof: recipe ${name} | ${times}; its model heard of a stop after ${took.toFixed(0)} ms`);
  } catch (error) {
    throw new Error(`${name}: ${error.message}\n${app.output.slice(-8_000)}`, { cause: error });
  } finally {
    await app.stop();
  }
}

async function main(binary, ...asked) {
  if (!binary) throw new Error('usage: node scripts/recipes/run.mjs BINARY [NAME …]');
  const known = await recipeNames();
  const unknown = asked.filter(name => !known.includes(name));
  if (unknown.length > 0) throw new Error(`There is no recipe ${unknown}; there are ${known}`);
  const names = asked.length > 0 ? asked : known;
  const folder = await mkdtemp(join(tmpdir(), 'threadmill-recipes-'));
  const secret = randomBytes(32).toString('hex');
  const threadmill = await startThreadmill(resolve(binary), join(folder, 'data'), secret);
  const env = { ...process.env, ...QUIET, PACKAGES: join(folder, 'packages'), CHECKOUT: root };
  let failed = 0;
  try {
    const pages = await Promise.all(names.map(name => layOut(name, join(folder, 'pages', name))));
    const wants = file => pages.some(({ install }) => install.includes(file));
    await pack(env.PACKAGES, wants);
    const login = { ...env, THREADMILL_AUTH_SECRET: secret };
    const [user, stranger] = await signedIn(folder, login, threadmill.url, wants);
    for (const name of names) {
      await tryRecipe(name, {
        folder,
        env: { ...env, THREADMILL_URL: threadmill.url },
        user,
        stranger,
      }).catch(error => {
        failed += 1;
        say(`FAILED ${error.message}`);
      });
    }
  } finally {
    await threadmill.stop();
    await rm(folder, { recursive: true, force: true });
  }
  say(`${names.length - failed} passed, ${failed} failed`);
  if (failed > 0) process.exitCode = 1;
}

await main(...process.argv.slice(2));
