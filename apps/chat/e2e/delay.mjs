//! A way to the server that takes time: what is said either way arrives whole, in order and later. Bandwidth is unbounded.

import { connect, createServer } from 'node:net';

/** Hands on what `from` says to `to`, each piece `ms` milliseconds after it came. */
function carry(from, to, ms) {
  const due = (what, then) => {
    const timer = setTimeout(then, ms);
    if (what !== 'data') timer.unref();
  };
  // Timers of one length fire in the order in which they were set.
  from.on('data', bytes => due('data', () => to.writable && to.write(bytes)));
  from.on('end', () => due('end', () => to.end()));
  from.on('error', () => to.destroy());
  from.on('close', () => due('close', () => to.destroy()));
}

/** A proxy before the server at `base`: HTTP and sockets, `ms` milliseconds each way. */
export async function delayed(base, ms) {
  const { hostname, port } = new URL(base);
  const open = new Set();
  const server = createServer({ allowHalfOpen: true }, near => {
    const far = connect({ port: Number(port), host: hostname, allowHalfOpen: true });
    for (const socket of [near, far]) {
      socket.setNoDelay(true);
      open.add(socket);
      socket.on('close', () => open.delete(socket));
    }
    carry(near, far, ms);
    carry(far, near, ms);
  });
  await new Promise(listening => server.listen(0, '127.0.0.1', listening));
  return {
    base: `http://127.0.0.1:${server.address().port}`,
    /** Breaks every connection there is; new ones are taken. */
    drop() {
      for (const socket of open) socket.destroy();
    },
    close() {
      for (const socket of open) socket.destroy();
      server.close();
    },
  };
}
