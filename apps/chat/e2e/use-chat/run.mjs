//! A stock `useChat` of AI SDK 5, 6 and 7 in Chromium, bundled as any app bundles it, on another origin than the server: a
//! reload in mid-stream, a second tab, a stop from there, a second message while an answer is written, and, in version 7, a
//! page that was offline and is seen again.
//!
//! `THREADMILL_BINARY=… node e2e/use-chat/run.mjs`

import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { dirname, extname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'vite';
import { check, conclude, must, named, until } from '../checks.mjs';
import { delayed } from '../delay.mjs';
import { startModel } from '../model.mjs';
import { launch } from '../page.mjs';

const here = dirname(fileURLToPath(import.meta.url));
const folder = await mkdtemp(join(tmpdir(), 'threadmill-use-chat-'));

/** The page with the SDK of a version, as files in a folder. */
async function bundled(version) {
  const require = createRequire(import.meta.url);
  const hooks = dirname(require.resolve(`ai-sdk-react-${version}/package.json`));
  const ai = dirname(createRequire(join(hooks, 'package.json')).resolve('ai/package.json'));
  const outDir = join(folder, `${version}`);
  await build({
    root: here,
    base: './',
    configFile: false,
    logLevel: 'error',
    resolve: { alias: { '@ai-sdk/react': hooks, ai } },
    build: { outDir, target: 'es2022', rollupOptions: { input: join(here, 'index.html') } },
  });
}

/** Serves the pages of all versions, under `/5/` and so on. */
async function pages() {
  const server = createServer(async (request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://page');
    const file = join(folder, pathname.endsWith('/') ? `${pathname}index.html` : pathname);
    const body = await readFile(file).catch(() => undefined);
    const types = { '.html': 'text/html', '.js': 'text/javascript' };
    response.writeHead(body ? 200 : 404, { 'content-type': types[extname(file)] ?? 'text/plain' });
    response.end(body);
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return server;
}

async function serve(origin, model) {
  const config = join(folder, 'threadmill.toml');
  const provider = `kind = 'openai'\nname = 'model'\nbase_url = '${model}'\nmodel = 'script'\n`;
  await writeFile(config, `[[providers]]\n${provider}`);
  const options = [
    '--config',
    config,
    '--listen',
    '127.0.0.1:0',
    '--data',
    join(folder, 'store'),
    '--no-sample',
  ];
  const child = spawn(process.env.THREADMILL_BINARY, ['serve', ...options, '--allow-origin', origin]);
  const url = await new Promise((resolve, reject) => {
    let said = '';
    child.stderr.on('data', bytes => {
      said += bytes;
      const found = /chat at (http:\S+)\s/.exec(said)?.[1];
      if (found) resolve(found);
    });
    child.once('exit', code => reject(new Error(`The server ended with ${code}: ${said}`)));
  });
  return { child, url };
}

const addressOf = server => `http://127.0.0.1:${server.address().port}`;
const model = await startModel();
const site = await pages();
const { child, url } = await serve(addressOf(site), addressOf(model));
const browser = await launch();

const stored = async chat =>
  (await (await fetch(`${url}/v1/threads/${chat}/messages`)).json()).messages?.map(({ parts, status }) => ({
    status,
    text: parts.map(part => (part.type === 'text' ? part.text : '')).join(''),
  })) ?? [];
const isOver = async chat => (await stored(chat)).at(-1)?.status !== 'streaming';

/** A tab that shows a chat, and what is on it. */
async function open(context, version, chat, server = url) {
  const page = await context.newPage();
  page.on('pageerror', error => console.error(`-- page of ${version}: ${error.message}`));
  await page.goto(`${addressOf(site)}/${version}/?${new URLSearchParams({ server, chat })}`);
  await page.waitForSelector('main');
  const texts = () => page.locator('p').allTextContents();
  const status = () => page.locator('main').getAttribute('data-status');
  return {
    page,
    texts,
    status,
    ask: () => page.getByRole('button', { name: 'Ask' }).click(),
    problem: () => page.locator('output').textContent(),
    talks: () => until('an answer is seen', async () => ((await texts())[1]?.length ?? 0) > 20),
    isReady: () => until('the page is ready', async () => (await status()) === 'ready'),
  };
}

function same(left, right) {
  const [a, b] = [JSON.stringify(left), JSON.stringify(right)];
  must(a === b, `${a} is not ${b}`);
}

for (const version of [5, 6, 7]) {
  await bundled(version);
  const context = await browser.newContext();
  await named(`AI SDK ${version}`, async () => {
    await check('a reload in mid-stream goes on and doubles nothing', async () => {
      const chat = `reload-${version}`;
      const tab = await open(context, version, chat);
      await tab.ask();
      await tab.talks();
      await tab.page.reload();
      await until('the answer is whole', () => isOver(chat));
      await tab.isReady();
      const want = await stored(chat);
      same(
        want.map(({ status }) => status),
        ['complete', 'complete'],
      );
      same(
        await tab.texts(),
        want.map(({ text }) => text),
      );
    });
    await check('a second tab follows, is refused in words, and a stop ends both', async () => {
      const chat = `tabs-${version}`;
      const one = await open(context, version, chat);
      await one.ask();
      await one.talks();
      const two = await open(context, version, chat);
      await two.talks();
      const three = await open(context, version, chat);
      await three.talks();
      await fetch(`${url}/api/chat/${chat}/stop`, { method: 'POST' });
      await Promise.all([one.isReady(), two.isReady(), three.isReady()]);
      const want = await stored(chat);
      same(
        want.map(({ status }) => status),
        ['complete', 'stopped'],
      );
      for (const tab of [one, two, three])
        same(
          await tab.texts(),
          want.map(({ text }) => text),
        );
      // One that was left while its answer is written is asked in another.
      await two.ask();
      await until('it is written', async () => (await stored(chat)).at(-1)?.status === 'streaming');
      await one.ask();
      await until('it is refused', async () => (await one.problem()).length > 0);
      same(
        await one.problem(),
        'An answer is still being written in this chat. Stop it, or wait for its end.',
      );
      await fetch(`${url}/api/chat/${chat}/stop`, { method: 'POST' });
      await two.isReady();
    });
    if (version === 7) {
      await check('a page whose connection broke goes on when it is seen again', async () => {
        const chat = 'broken';
        const way = await delayed(url, 1);
        const tab = await open(context, version, chat, way.base);
        await tab.ask();
        await tab.talks();
        way.drop();
        await until('the connection is missed', async () => (await tab.status()) === 'error');
        await tab.page.evaluate(() => document.dispatchEvent(new Event('visibilitychange')));
        await until('the answer is whole', () => isOver(chat));
        await tab.isReady();
        const want = await stored(chat);
        same(
          await tab.texts(),
          want.map(({ text }) => text),
        );
        way.close();
      });
    }
  });
  await context.close();
}

await browser.close();
child.kill();
model.close();
site.close();
await new Promise(resolve => child.once('exit', resolve));
await rm(folder, { recursive: true });
conclude();
