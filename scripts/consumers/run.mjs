//! Packs, installs, builds, serves and opens: see `scripts/consumers.sh`.

import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { chromium } from 'playwright-core';
import { freePort, run, serve, until } from '../processes.mjs';
import { NEXT, VITE } from './apps.mjs';
import { checkFreshCheckout } from './fresh.mjs';
import { tryPlain } from './plain.mjs';

const PACKAGES = ['client', 'react', 'server', 'ag-ui', 'assistant-ui', 'tanstack-ai'];
const TITLE = 'A thread the page must show';
const ENV = { ...process.env, NEXT_TELEMETRY_DISABLED: '1', CI: '1', NO_COLOR: '1' };

const root = fileURLToPath(new URL('../..', import.meta.url));
const started = performance.now();
const say = text =>
  process.stdout.write(`${((performance.now() - started) / 1000).toFixed(0).padStart(4)}s  ${text}\n`);

/** The examples of the READMEs by the files they belong to. */
async function examples() {
  const files = {};
  for (const name of PACKAGES) {
    const text = await readFile(join(root, 'packages', name, 'README.md'), 'utf8');
    for (const [, title, code] of text.matchAll(/^```\w+ title="([^"]+)"\n(.*?)^```/gms)) files[title] = code;
  }
  return files;
}

async function pack(folder) {
  const tarballs = {};
  for (const name of PACKAGES) {
    const args = ['pack', '--silent', '--pack-destination', folder];
    const output = await run('npm', args, join(root, 'packages', name), ENV);
    const tarball = join(folder, output.trim().split('\n').at(-1));
    const list = await run('tar', ['-tzf', tarball], folder, ENV);
    for (const file of ['LICENSE', 'README.md', 'package.json', 'dist/index.js', 'dist/index.d.ts']) {
      if (!list.includes(`package/${file}\n`)) throw new Error(`${tarball} lacks ${file}`);
    }
    tarballs[name] = tarball;
  }
  return tarballs;
}

async function install(app, folder, tarballs, sources) {
  const own = Object.entries(sources).filter(([file]) => file.startsWith(app === VITE ? 'src/' : 'app/'));
  for (const [file, text] of [...Object.entries(app.files), ...own]) {
    await mkdir(dirname(join(folder, file)), { recursive: true });
    await writeFile(join(folder, file), text);
  }
  const quiet = ['--no-audit', '--no-fund', '--loglevel=error', '--prefer-offline'];
  await run('npm', ['install', ...quiet, ...app.packages.map(name => tarballs[name])], folder, ENV);
}

/** Opens the page and waits for the thread that the server has. */
async function check(browser, url, name) {
  const page = await browser.newPage();
  const problems = [];
  const loaded = [];
  page.on('pageerror', error => problems.push(String(error)));
  page.on('console', message => {
    const icon = message.location().url.endsWith('/favicon.ico');
    if (message.type() === 'error' && !icon) problems.push(`${message.text()} ${message.location().url}`);
  });
  page.on('response', response => response.url().includes('.wasm') && loaded.push(response));
  await page.goto(url);
  try {
    await page.getByText(TITLE).first().waitFor({ timeout: 15_000 });
  } catch {
    throw new Error(
      `${name}: the thread is not on the page. ${problems.join('\n') || 'Nothing was reported.'}`,
    );
  }
  const [wasm] = loaded;
  if (!wasm?.ok()) throw new Error(`${name}: the core was not loaded as a file`);
  if (name.startsWith('Vite')) await openThread(page, name);
  if (problems.length > 0) throw new Error(`${name}: ${problems.join('\n')}`);
  await page.close();
  say(`${name}: the core (${wasm.headers()['content-type']}) and the threads are there`);
}

async function openThread(page, name) {
  await page.getByRole('button', { name: TITLE }).click();
  const shown = page.getByText('How do I install it?').first();
  await shown.waitFor({ timeout: 5_000 }).catch(() => {
    throw new Error(`${name}: the messages of the thread are not on the page`);
  });
}

/** The server's README answers in a route of the app. */
async function answered(page, url, command) {
  const thread = `answered-${command.length}`;
  const message = { parts: [{ type: 'text', text: 'What do you say?' }] };
  const headers = { 'content-type': 'application/json' };
  const made = { method: 'POST', headers, body: JSON.stringify({ id: thread, title: TITLE, message }) };
  await fetch(`${url}/v1/threads`, made);
  const response = await fetch(`${page}answers/${thread}`, { method: 'POST' });
  if (!response.ok) throw new Error(`The route does not answer: ${response.status} ${await response.text()}`);
  const { messages } = await (await fetch(`${url}/v1/threads/${thread}/messages`)).json();
  const [text, status] = [messages.at(-1).parts[0]?.text, messages.at(-1).status];
  if (text !== 'You asked: What do you say?' || status !== 'complete')
    throw new Error(`The answer of the route is ${status}: ${text}`);
  say(`Next.js, ${command}: a route of it answered`);
  const asked = { id: crypto.randomUUID(), role: 'user', content: 'And what do you say?' };
  const input = { threadId: `${thread}-ag-ui`, runId: 'r', messages: [asked], tools: [], context: [] };
  const events = await fetch(`${page}agui`, { method: 'POST', headers, body: JSON.stringify(input) });
  const said = await events.text();
  if (!said.includes('RUN_STARTED') || !said.includes('RUN_FINISHED'))
    throw new Error(`The AG-UI route says ${events.status}: ${said.slice(0, 500)}`);
  say(`Next.js, ${command}: a route of it spoke AG-UI`);
}

async function tryApp(app, { folder, port, url, browser, tarballs, sources }) {
  const home = join(folder, app.name);
  await install(app, home, tarballs, sources);
  say(`${app.title}: installed`);
  if (app === NEXT) {
    const check = "import('@threadmill/tanstack-ai').then(({ threadmillStream }) => threadmillStream.name)";
    await run(process.execPath, ['-e', check], home, ENV);
  }
  const env = { ...ENV, VITE_THREADMILL_URL: url, THREADMILL_URL: url };
  for (const [command] of app.builds) {
    await run('npx', command.split(' '), home, env);
    say(`${app.title}: ${command}`);
    if (!command.includes('build')) continue;
    const page = `http://127.0.0.1:${port}/`;
    const served = serve('npx', app.serve(String(port)), home, env);
    try {
      await until(served, () => fetch(page).catch(() => undefined));
      await check(browser, page, `${app.title}, ${command}`);
      if (app === NEXT) await answered(page, url, command);
    } finally {
      await served.stop();
    }
  }
}

async function main(binary) {
  const folder = await mkdtemp(join(tmpdir(), 'threadmill-consumers-'));
  const ports = [await freePort(), await freePort(), await freePort()];
  const origins = ports.flatMap(port => ['--allow-origin', `http://127.0.0.1:${port}`]);
  const data = ['--data', join(folder, 'store'), '--no-sample'];
  const args = ['serve', '--listen', '127.0.0.1:0', ...data, ...origins];
  const server = serve(binary, args, folder, ENV);
  const browser = await chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
  try {
    const url = await until(server, () => /chat at (http:\S+)\s/.exec(server.output)?.[1]);
    const parts = [{ type: 'text', text: 'How do I install it?' }];
    const body = JSON.stringify({ title: TITLE, message: { parts } });
    const headers = { 'content-type': 'application/json' };
    const made = await fetch(`${url}/v1/threads`, { method: 'POST', headers, body });
    if (!made.ok) throw new Error(`The thread was not made: ${await made.text()}`);
    checkFreshCheckout(root, join(folder, 'fresh'));
    say('a fresh checkout is packed with its code, or not at all');
    const [tarballs, sources] = [await pack(folder), await examples()];
    say('packed');
    for (const [i, app] of [VITE, NEXT].entries()) {
      await tryApp(app, { folder, port: ports[i], url, browser, tarballs, sources });
    }
    const installed = join(folder, VITE.name, 'node_modules/@threadmill/client');
    const page = sources['index.html'];
    await tryPlain({ browser, page, folder: installed, url, title: TITLE, port: ports[2], say });
  } finally {
    await browser.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

await main(process.argv[2]);
