//! The README's page without a bundler: served as plain files, from an origin the server takes and from one it does not.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join } from 'node:path';

const TYPES = { js: 'text/javascript', wasm: 'application/wasm', html: 'text/html' };

/** Serves the page at `/` and the package's folder under `/threadmill/`. */
function servePage(page, folder, port) {
  const server = createServer(async ({ url = '/' }, response) => {
    const { pathname } = new URL(url, 'http://localhost');
    const file = pathname.startsWith('/threadmill/') ? pathname.slice('/threadmill/'.length) : undefined;
    const body = await (file === undefined ? page : readFile(join(folder, file)).catch(() => undefined));
    const type = TYPES[(file ?? 'index.html').split('.').at(-1)] ?? 'text/plain';
    response.writeHead(body === undefined ? 404 : 200, { 'content-type': type });
    response.end(body);
  });
  return new Promise(resolve => server.listen(port, '127.0.0.1', () => resolve(server)));
}

/** Opens it on a port whose origin the server takes, and on another. `folder` is where the package is installed. */
export async function tryPlain({ browser, page, folder, url, title, port, say }) {
  const text = page.replace('http://127.0.0.1:7430', url);
  const allowed = await servePage(text, folder, port);
  const other = await servePage(text, folder, 0);
  const opened = await browser.newPage();
  try {
    await opened.goto(`http://127.0.0.1:${port}/`);
    await opened.getByText(title).first().waitFor({ timeout: 15_000 });
    await opened.getByText('live', { exact: true }).waitFor({ timeout: 15_000 });
    say('plain HTML: the threads are there');
    const origin = `http://127.0.0.1:${other.address().port}`;
    await opened.goto(origin);
    await opened.getByText(`--allow-origin ${origin}`).waitFor({ timeout: 15_000 });
    say('plain HTML: an origin that the server refuses is told so, and what to do');
  } finally {
    await opened.close();
    allowed.close();
    other.close();
  }
}
