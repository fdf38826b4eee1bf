//! The page without a network, from the first byte: the service worker starts it, and the client shows what it kept.

import { connect, createServer } from 'node:net';
import { api, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { BASE, rows, rowsShown } from './page.mjs';

/** A way to the server that can be cut, so that nobody is there, or held, so that nobody answers. */
async function gate() {
  const { hostname, port } = new URL(BASE);
  const open = new Set();
  let state = 'open';
  const server = createServer(near => {
    near.on('error', () => near.destroy());
    open.add(near);
    near.on('close', () => open.delete(near));
    if (state === 'cut') return near.destroy();
    if (state === 'held') return near.resume();
    const far = connect(Number(port), hostname);
    far.on('error', () => near.destroy());
    far.on('close', () => near.destroy());
    near.on('close', () => far.destroy());
    near.pipe(far);
    far.pipe(near);
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    to(next) {
      state = next;
      for (const socket of open) socket.destroy();
    },
    close: () => server.close(),
  };
}

/** What the browser keeps by the worker: the paths, and whether the worker is there. */
function kept(page) {
  return page.evaluate(async () => {
    const paths = [];
    for (const name of await caches.keys())
      for (const { url } of await (await caches.open(name)).keys()) paths.push(new URL(url).pathname);
    return { paths, worker: (await navigator.serviceWorker.getRegistration()) !== undefined };
  });
}

export async function workerChecks(browser) {
  const [threadId, other] = [
    await threadWith('Kept for later.', 'Kept'),
    await threadWith('Also kept.', 'Kept too'),
  ];
  const network = await gate();
  const page = await openThrough(browser, `/t/${other}`, { base: network.base });
  await rowsShown(page);
  await page.click(`[data-thread="${threadId}"] a`);
  await until('the thread', async () => (await page.innerText('.list')).includes('Kept for later.'));
  await page.evaluate(() => navigator.serviceWorker.ready);
  await until('the windows to be kept', () =>
    page.evaluate(
      ids =>
        new Promise(done => {
          void indexedDB.databases().then(all => {
            const open = indexedDB.open(all.find(({ name }) => name.startsWith('threadmill'))?.name ?? '');
            open.onerror = () => done(false);
            open.onsuccess = () => {
              const db = open.result;
              const keys = db.transaction('windows').objectStore('windows').getAllKeys();
              keys.onsuccess = () => {
                db.close();
                done(ids.every(id => keys.result.includes(id)));
              };
            };
          });
        }),
      [threadId, other],
    ),
  );
  await check('what the worker keeps is the page, and no answer of the API', async () => {
    const { paths } = await kept(page);
    must(paths.includes('/') && paths.some(path => path.endsWith('.wasm')), `kept: ${paths}`);
    must(
      paths.every(path => path === '/' || path === '/favicon.svg' || path.startsWith('/assets/')),
      `${paths}`,
    );
    const { headers } = await fetch(`${BASE}/sw.js`);
    must(headers.get('cache-control') === 'no-cache', 'the worker itself is kept');
  });
  const shows = async (text, how) => {
    await rowsShown(page);
    must((await page.innerText('.list')).includes(text), `${how}: no messages`);
    await page.waitForSelector(`[data-thread="${other}"]`);
  };
  await check('without a network a reload shows the list and the messages', async () => {
    network.to('cut');
    await page.reload();
    await shows('Kept for later.', 'reload');
    await page.click(`[data-thread="${other}"] a`);
    await until('the other', async () => (await page.innerText('.list')).includes('Also kept.'));
  });
  await check('and so does a page that is opened anew, at any address', async () => {
    const fresh = await page.context().newPage();
    await fresh.goto(`${network.base}/`);
    await fresh.waitForSelector(`[data-thread="${threadId}"]`);
    await fresh.close();
  });
  await check('a network that does not answer is waited for a moment only', async () => {
    network.to('held');
    const began = performance.now();
    await page.goto(`${network.base}/t/${threadId}`);
    await shows('Kept for later.', 'held');
    const took = Math.round(performance.now() - began);
    must(took < 15_000, `${took} ms`);
    return `${took} ms`;
  });
  await check("with the network back the page is the network's, live, and its core came once", async () => {
    network.to('open');
    const cores = [];
    page.on('request', request => request.url().endsWith('.wasm') && cores.push(request.url()));
    await page.goto(`${network.base}/t/${threadId}`);
    await page.waitForSelector('.connection[data-state="live"]', { state: 'attached', timeout: 40_000 });
    must((await rows(page)).length > 0, 'no rows');
    must(cores.length <= 1, `${cores.length} requests for the core`);
  });
  await check('signing out leaves neither worker nor page behind', async () => {
    await page.click('[aria-label="More"]');
    await page.click('[role="menuitem"]:has-text("Sign out")');
    const before = page.waitForEvent('framenavigated');
    // What is left is looked at before the new page registers its own.
    await page.context().route('**/sw.js', route => route.abort());
    await page.click('.dialog[open] .danger');
    await before;
    await page.waitForSelector('.suggestions');
    const { paths, worker } = await kept(page);
    must(!worker && paths.length === 0, `worker: ${worker}, kept: ${paths}`);
  });
  await page.context().close();
  network.close();
  for (const id of [threadId, other]) await api('DELETE', `/threads/${id}`);
}
