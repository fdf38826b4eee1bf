//! A TCP proxy before a server, to lose an answer in.

import { connect, createServer } from 'node:net';

/** Stands before `port`. `loses(request)` says whether the answer to these first bytes of a request is lost. */
export class LossyProxy {
  loses = () => false;
  /** Called when the server has answered what is lost. From then on nothing gets through until `mend`. */
  lost = () => {};
  #broken = false;
  #sockets = new Set();

  static async before(port) {
    const proxy = new LossyProxy();
    proxy.server = createServer(client => proxy.#join(client, port));
    await new Promise(done => proxy.server.listen(0, '127.0.0.1', done));
    proxy.url = `http://127.0.0.1:${proxy.server.address().port}`;
    return proxy;
  }

  #join(client, port) {
    if (this.#broken) return client.destroy();
    const server = connect(port, '127.0.0.1');
    let losing = false;
    const both = [client, server];
    for (const socket of both) {
      this.#sockets.add(socket);
      socket.on('error', () => {});
      socket.on('close', () => {
        for (const other of both) other.destroy();
        this.#sockets.delete(socket);
      });
    }
    client.on('data', bytes => {
      losing ||= this.loses(bytes.toString('latin1'));
      server.write(bytes);
    });
    server.on('data', bytes => {
      if (!losing) return client.write(bytes);
      // It is committed, or there would be no answer.
      this.#broken = true;
      this.cut();
      this.lost();
    });
  }

  /** Ends all connections. */
  cut() {
    for (const socket of this.#sockets) socket.destroy();
  }

  /** Lets everything through again. */
  mend() {
    this.#broken = false;
    this.loses = () => false;
  }

  async close() {
    this.cut();
    await new Promise(done => this.server.close(done));
  }
}
