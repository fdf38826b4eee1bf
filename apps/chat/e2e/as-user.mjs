//! A way to a server on which everybody is one user: a browser sets no headers of a page's last words and of its sockets, so
//! they are put in on the way. Reports of clients that pass are kept.

import { createServer, request } from 'node:http';
import { connect } from 'node:net';

/**
 * Starts one, on which a request takes so many milliseconds more. `reports` are the bodies of `POST /v1/rum`; `close` ends it.
 */
export async function asUser(server, user, delay = 0) {
  const { hostname: host, port } = new URL(server);
  const reports = [];
  const open = new Set();
  const way = createServer((asked, answer) => {
    const headers = { ...asked.headers, 'x-threadmill-user': user };
    let body = '';
    const on = request({ host, port, method: asked.method, path: asked.url, headers }, answered => {
      // Kept once the node has it.
      if (asked.url === '/v1/rum' && answered.statusCode < 300) reports.push(JSON.parse(body));
      setTimeout(() => {
        answer.writeHead(answered.statusCode, answered.headers);
        answered.pipe(answer);
      }, delay);
    });
    on.on('error', () => answer.destroy());
    asked.on('error', () => on.destroy());
    answer.on('close', () => on.destroy());
    if (asked.url === '/v1/rum') {
      asked.on('data', piece => {
        body += piece;
      });
    }
    asked.pipe(on);
  });
  way.on('upgrade', (asked, socket, head) => {
    const on = connect(Number(port), host, () => {
      const lines = [`${asked.method} ${asked.url} HTTP/1.1`, `x-threadmill-user: ${user}`];
      for (let at = 0; at < asked.rawHeaders.length; at += 2) {
        lines.push(`${asked.rawHeaders[at]}: ${asked.rawHeaders[at + 1]}`);
      }
      on.write(`${lines.join('\r\n')}\r\n\r\n`);
      on.write(head);
      on.pipe(socket).pipe(on);
    });
    for (const end of [socket, on]) end.on('error', () => [socket, on].map(other => other.destroy()));
  });
  way.on('connection', socket => {
    open.add(socket);
    socket.on('close', () => open.delete(socket));
  });
  await new Promise(done => way.listen(0, '127.0.0.1', done));
  const close = () => {
    way.close();
    for (const socket of open) socket.destroy();
  };
  return { url: `http://127.0.0.1:${way.address().port}`, reports, close };
}
