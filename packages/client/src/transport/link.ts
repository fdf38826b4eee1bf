//! The tab's own connection to the server: a WebSocket, or requests where sockets do not get through.

import type { SyncStatus } from '../words/types.js';

const SUBPROTOCOL = 'threadmill.v1.cbor';
/** Milliseconds to wait for a socket to say that it is closed. */
const FAREWELL = 1_000;

/** What happens to the connection. */
export interface LinkEvents {
  opened(): void;
  closed(): void;
  received(frame: Uint8Array<ArrayBuffer>): void;
}

/** A connection that carries everything the client has to say when it is opened, and nothing after. */
export interface Requests {
  send(frame: Uint8Array<ArrayBuffer>): void;
  /** Everything that follows from one input has been said. */
  flush(): void;
}

/** Loads what makes a connection of requests; it is over when the signal aborts. */
export type LoadRequests = (transport: 'events' | 'poll', signal: AbortSignal) => Promise<Requests>;

export class Link {
  readonly #url: string;
  readonly #load: LoadRequests;
  readonly #events: LinkEvents;
  #socket: WebSocket | undefined;
  #requests: Requests | undefined;
  #abort: AbortController | undefined;
  #closing: Promise<void> = Promise.resolve();

  constructor(url: string, load: LoadRequests, events: LinkEvents) {
    this.#url = url;
    this.#load = load;
    this.#events = events;
  }

  connect(transport: SyncStatus['transport']): void {
    void this.disconnect();
    if (transport === 'socket') this.#connectSocket();
    else this.#connectRequests(transport);
  }

  /** Resolves when the server has heard of it, or cannot be told. */
  disconnect(): Promise<void> {
    const socket = this.#socket;
    this.#socket = undefined;
    this.#abort?.abort();
    this.#abort = this.#requests = undefined;
    if (socket && socket.readyState <= WebSocket.OPEN) {
      this.#closing = new Promise(resolve => {
        socket.onclose = () => resolve();
        setTimeout(resolve, FAREWELL);
      });
      socket.close();
    }
    return this.#closing;
  }

  send(frame: Uint8Array<ArrayBuffer>): void {
    if (this.#requests) this.#requests.send(frame);
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  /** Everything that follows from one input has been said. */
  flush(): void {
    this.#requests?.flush();
  }

  #connectSocket(): void {
    let socket: WebSocket;
    try {
      socket = new WebSocket(this.#url, SUBPROTOCOL);
    } catch {
      // The page's policy forbids it, or the address is none.
      this.#events.closed();
      return;
    }
    socket.binaryType = 'arraybuffer';
    this.#socket = socket;
    const mine = (act: () => void) => () => {
      if (this.#socket === socket) act();
    };
    socket.onopen = mine(() => this.#events.opened());
    socket.onclose = mine(() => {
      this.#socket = undefined;
      this.#events.closed();
    });
    socket.onmessage = event => {
      if (this.#socket !== socket || !(event.data instanceof ArrayBuffer)) return;
      this.#events.received(new Uint8Array(event.data));
    };
  }

  #connectRequests(transport: 'events' | 'poll'): void {
    const abort = new AbortController();
    this.#abort = abort;
    this.#load(transport, abort.signal).then(
      requests => {
        if (this.#abort !== abort) return;
        this.#requests = requests;
        this.#events.opened();
      },
      () => this.#abort === abort && this.#events.closed(),
    );
  }
}
