//! Networks that are not as they should be: one that can be cut, and one that lacks something. The browser's own offline
//! switch leaves open connections standing.

import { connect, createServer } from 'node:net';
import { BASE } from './page.mjs';

/** A page at `path` of `base`, in a context that `prepare` has seen first. */
export async function openThrough(browser, path, { base = BASE, prepare, ...options }) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  await prepare?.(context);
  const page = await context.newPage();
  await page.goto(base + path);
  return page;
}

/** A way to the server, at `base`, that the page of `context` loses by `cut` and has again by `restore`. */
export async function cuttable() {
  const { hostname, port } = new URL(BASE);
  const open = new Set();
  let whole = true;
  const server = createServer(near => {
    if (!whole) return near.destroy();
    const far = connect(Number(port), hostname);
    for (const [from, to] of [
      [near, far],
      [far, near],
    ]) {
      open.add(from);
      from.pipe(to);
      from.on('error', () => to.destroy());
      from.on('close', () => {
        open.delete(from);
        to.destroy();
      });
    }
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    async cut(context) {
      whole = false;
      await context.setOffline(true);
      for (const socket of open) socket.destroy();
    },
    async restore(context) {
      whole = true;
      await context.setOffline(false);
    },
    close: () => server.close(),
  };
}
