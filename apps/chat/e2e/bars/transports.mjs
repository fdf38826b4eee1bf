//! Bar: what lies between a browser and the server breaks WebSockets, or event streams too. The client finds what
//! gets through, in every tab, and shows an answer as it is.

import { createServer, request } from 'node:http';
import { unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { bars, equip, launch } from './browser.mjs';
import { Family } from './family.mjs';
import { forget, place, Server } from './server.mjs';

const TOKENS = process.env.THREADMILL_FULL === '1' ? 600 : 150;
/** Every visible tab has a connection of its own then. */
const TABS = 2;

/** A proxy that refuses to upgrade and, if it is told to, hands on an event stream when it is over. */
async function proxy(port, { buffers }) {
  const server = createServer((incoming, outgoing) => {
    const { method, headers, url } = incoming;
    const forward = request({ port, host: '127.0.0.1', method, headers, path: url }, answer => {
      const held = buffers && answer.headers['content-type']?.startsWith('text/event-stream');
      if (held) {
        answer.resume();
        return;
      }
      outgoing.writeHead(answer.statusCode, answer.headers);
      answer.pipe(outgoing);
    });
    outgoing.on('close', () => forward.destroy());
    forward.on('error', () => outgoing.destroy());
    incoming.pipe(forward);
  });
  server.on('upgrade', (_, socket) => socket.end('HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n'));
  await new Promise(done => server.listen(0, '127.0.0.1', done));
  return { url: `http://127.0.0.1:${server.address().port}`, close: () => server.close() };
}

async function throughProxy(browser, server, { name, transport, buffers }, seed) {
  await check(`transports: ${name}`, async () => {
    const context = await equip(await browser.newContext());
    const between = await proxy(server.port, { buffers });
    try {
      const user = `transports-${seed}`;
      const family = new Family(context, server, { user, url: between.url });
      family.threadId = await server.thread(user, 'Transports');
      const began = performance.now();
      for (let tab = 0; tab < TABS; tab++) await family.join();
      const found = await until(
        `every tab to be live by ${transport}`,
        async () => {
          const all = await Promise.all(family.pages.map(page => bars(page, 'status')));
          return all.every(status => status.connection === 'live' && status.transport === transport) && all;
        },
        90_000,
      );
      const took = Math.round(performance.now() - began);
      must(found.filter(({ role }) => role === 'leader').length === 1, 'one leads all the same');
      const answer = await family.ask(family.pages[1], unknownText(TOKENS, 5, seed));
      await family.ended(answer);
      const { letters, silence } = await family.agree(answer);
      return `found in ${took} ms, ${letters} letters in ${TABS} tabs, ${silence}`;
    } finally {
      await context.close();
      between.close();
    }
  });
}

export async function transportsBar() {
  const data = await place('transports');
  const server = await Server.start({ data });
  const browser = await launch();
  try {
    const ways = [
      { name: 'no WebSocket: an event stream', transport: 'events', buffers: false },
      { name: 'nothing that streams: one answer after another', transport: 'poll', buffers: true },
    ];
    for (const [at, way] of ways.entries()) await throughProxy(browser, server, way, 60 + at);
  } finally {
    await browser.close();
    await server.end();
    await forget(data);
  }
}
