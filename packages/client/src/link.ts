//! The tab's own connection to the server: a WebSocket, or requests where sockets do not get through.

import type { SyncStatus } from './types.js';

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
  /** Sends frames and hands on what comes back. Resolves when nothing more will; `goesOn`: ask again at once. */
  run(frames: readonly Uint8Array<ArrayBuffer>[], signal: AbortSignal): Promise<{ goesOn: boolean }>;
}

export class Link {
  readonly #url: string;
  readonly #requests: (transport: 'events' | 'poll') => Promise<Requests>;
  readonly #events: LinkEvents;
  #socket: WebSocket | undefined;
  #open: Requests | undefined;
  #abort: AbortController | undefined;
  /** The request under way has left: what is said now has to wait for another. */
  #left = false;
  #waiting: Uint8Array<ArrayBuffer>[] = [];
  #closing: Promise<void> = Promise.resolve();

  constructor(
    url: string,
    requests: (transport: 'events' | 'poll') => Promise<Requests>,
    events: LinkEvents,
  ) {
    this.#url = url;
    this.#requests = requests;
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
    this.#abort = this.#open = undefined;
    this.#waiting = [];
    this.#left = false;
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
    if (this.#open) this.#waiting.push(frame);
    else if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(frame);
  }

  /** Everything that follows from one input has been said. */
  flush(): void {
    const { length } = this.#waiting;
    if (!this.#open || length === 0) return;
    if (this.#left) this.#again();
    else void this.#request(this.#open);
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
    this.#requests(transport).then(
      requests => {
        if (this.#abort !== abort) return;
        this.#open = requests;
        this.#events.opened();
      },
      () => this.#abort === abort && this.#events.closed(),
    );
  }

  /** Another request says everything, from where the views are now. */
  #again(): void {
    this.#abort?.abort();
    this.#abort = new AbortController();
    this.#waiting = [];
    this.#left = false;
    this.#events.opened();
  }

  async #request(requests: Requests): Promise<void> {
    const abort = this.#abort;
    if (!abort) return;
    const frames = this.#waiting;
    this.#waiting = [];
    this.#left = true;
    const over = await requests.run(frames, abort.signal).catch(() => ({ goesOn: false }));
    if (this.#abort !== abort) return;
    if (over.goesOn) this.#again();
    else this.#events.closed();
  }
}
