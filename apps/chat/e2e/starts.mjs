//! Starts in which something is taken and never answered: the page says so soon, and goes on by another way.

import { createServer, request } from 'node:http';
import { api, threadWith, tip } from './api.mjs';
import { beside, check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { BASE, rowsShown, sendText } from './page.mjs';

/** Milliseconds: until the page says something, until it works without the core, and until an answer comes without sockets. */
const SAYS = 2_500;
const WITHOUT_CORE = 10_000;
const WITHOUT_SOCKETS = 9_000;

/** A way to the server that takes sockets and says nothing, before they are opened or after. */
async function swallowing() {
  const { hostname, port } = new URL(BASE);
  const held = new Set();
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const forward = request({ hostname, port, method, headers, path: url }, answer => {
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    outgoing.on('close', () => forward.destroy());
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  });
  server.on('upgrade', (_, socket) => {
    held.add(socket);
    socket.on('error', () => {});
  });
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      for (const socket of held) socket.destroy();
      server.close();
    },
  };
}

async function coreCheck(browser) {
  const threadId = await threadWith('Hello.', 'Held core');
  await check('a core that is asked for and never comes: the page says so, and works without', async () => {
    const started = performance.now();
    const page = await openThrough(browser, `/t/${threadId}`, {
      prepare: context => context.route('**/assets/threadmill-*.wasm', () => {}),
    });
    await page.waitForSelector('.starting', { state: 'visible', timeout: SAYS });
    const said = Math.round(performance.now() - started);
    await page.waitForSelector('.row[data-row]', { timeout: WITHOUT_CORE });
    const worked = Math.round(performance.now() - started);
    await page.waitForSelector('[data-notice="engine wasm_failed"]');
    must(worked < WITHOUT_CORE, `it took ${worked} ms`);
    await page.context().close();
    return `said after ${said} ms, there after ${worked} ms`;
  });
  await api('DELETE', `/threads/${threadId}`);
}

async function socketCheck(browser) {
  const threadId = await threadWith('Hello.', 'Swallowed');
  await check('a socket that is taken and never answered: the answer comes by events', async () => {
    const way = await swallowing();
    const page = await openThrough(browser, `/t/${threadId}`, { base: way.base });
    await rowsShown(page);
    const started = performance.now();
    await sendText(page, 'What is AI?');
    await page.waitForSelector('.row-assistant[data-row]', { timeout: WITHOUT_SOCKETS });
    const took = Math.round(performance.now() - started);
    await until(
      'the answer to end',
      async () => {
        const { messages } = await tip(threadId);
        return messages.some(({ role, status }) => role === 'assistant' && status === 'complete');
      },
      60_000,
    );
    await page.waitForSelector('.row-assistant[data-status="complete"]', { timeout: WITHOUT_SOCKETS });
    await page.context().close();
    way.close();
    return `after ${took} ms`;
  });
  await api('DELETE', `/threads/${threadId}`);
}

export async function startChecks(browser) {
  await beside(
    () => coreCheck(browser),
    () => socketCheck(browser),
  );
}
