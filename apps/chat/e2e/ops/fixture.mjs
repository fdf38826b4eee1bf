//! A server that is no Threadmill: it serves the built page at `/ops` and recorded answers under `/ops/api`, and does on
//! demand what a node in trouble does. `node e2e/ops/fixture.mjs PORT` for looking at it by hand.

import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { extname, join, normalize } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { answerTo } from './answers.mjs';

const DIST = fileURLToPath(new URL('../../dist', import.meta.url));
const KINDS = { '.html': 'text/html', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml' };
/** As `crates/server/src/assets.rs` has it. */
const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob: https: http:; connect-src 'self'; font-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

function refuse(response, status, code, detail, hint = '') {
  response.writeHead(status, { 'content-type': 'application/json', 'threadmill-request-id': 'fixture-1' });
  response.end(JSON.stringify({ status, code, detail, hint }));
}

async function trace(response, query) {
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  const text = query.get('text') === '1' ? { text: 'A secret of the user' } : {};
  for (let n = 0; n < 5; n += 1) {
    const data = {
      at: new Date().toISOString(),
      thread: query.get('thread'),
      kind: 'chunks',
      from: n,
      to: n + 1,
      bytes: 80,
      ...text,
    };
    response.write(`event: trace\ndata: ${JSON.stringify(data)}\n\n`);
    await new Promise(done => setTimeout(done, 40));
  }
  response.end('event: end\ndata: {"why":"the fixture has no more"}\n\n');
}

async function body(request) {
  const pieces = [];
  for await (const piece of request) pieces.push(piece);
  return Buffer.concat(pieces).toString();
}

async function api(request, response, path, query, state) {
  state.asked.push(`${request.method} ${path}?${query}`);
  // Neither an answer nor a refusal: the request is held.
  if (state.silent) return;
  if (state.token && request.headers.authorization !== `Bearer ${state.token}`) {
    return refuse(
      response,
      401,
      'unauthorized',
      'The ops token is missing or wrong.',
      'Send the one of [ops] token_file.',
    );
  }
  if (state.broken)
    return refuse(response, 503, 'unavailable', 'The database does not answer.', 'Bring it back.');
  if (request.method === 'POST') {
    if (!state.write) return refuse(response, 403, 'ops_read_only', 'This node takes no actions.');
    const { why } = JSON.parse(await body(request));
    state.audit.unshift({
      at: new Date().toISOString(),
      what: path.split('/').at(-1),
      subject: path,
      why,
      from: '127.0.0.1',
      allowed: true,
    });
    response.writeHead(200, { 'content-type': 'application/json' });
    return response.end('{"released":true}');
  }
  if (path === 'trace') return trace(response, query);
  const answer = state.absent.has(path) ? undefined : answerTo(path, query, state);
  if (!answer) return refuse(response, 404, 'route_not_found', 'There is no such route.');
  response.writeHead(200, { 'content-type': 'application/json', 'cache-control': 'no-store' });
  response.end(JSON.stringify(answer));
}

async function file(response, path) {
  const name = path === '/ops' ? 'ops.html' : normalize(path).replace(/^(\.\.[/\\])+/, '');
  try {
    const bytes = await readFile(join(DIST, name));
    response.writeHead(200, {
      'content-type': KINDS[extname(name)] ?? 'application/octet-stream',
      'content-security-policy': POLICY,
    });
    response.end(bytes);
  } catch {
    refuse(response, 404, 'route_not_found', 'There is no such file.');
  }
}

/** Starts it. What `state` says can be changed while it runs. */
export async function startFixture(port = 0) {
  const state = {
    incident: false,
    write: false,
    silent: false,
    broken: false,
    token: undefined,
    audit: [],
    absent: new Set(),
    asked: [],
  };
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url, 'http://fixture');
    const path = pathname.startsWith('/ops/api/') ? pathname.slice('/ops/api/'.length) : undefined;
    void (path === undefined ? file(response, pathname) : api(request, response, path, searchParams, state));
  });
  await new Promise(listening => server.listen(port, '127.0.0.1', listening));
  const close = () => {
    server.closeAllConnections();
    server.close();
  };
  return { state, close, url: `http://127.0.0.1:${server.address().port}` };
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const { state, url } = await startFixture(Number(process.argv[2] ?? 0));
  state.incident = process.argv.includes('incident');
  state.write = process.argv.includes('write');
  console.log(`${url}/ops`);
}
