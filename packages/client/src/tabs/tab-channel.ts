//! The other tabs: the channel all of them hear, the lock that makes one of them the leader, and whether this one
//! can be seen.
//!
//! Room `tabs`: the browser's channel and lock between tabs, as they are. Who leads and what is said is decided in
//! `crates/core`; nothing here reads what passes.

/** What happens to the lock, and what comes over the channel. */
export interface TabChannelEvents {
  /** This tab holds the lock. */
  granted(): void;
  /** Another tab took the lock: this one did nothing for too long. */
  stolen(): void;
  /** A frame from another tab's core. */
  frame(frame: Uint8Array<ArrayBuffer>): void;
  /** A message from another tab's client. */
  message(message: unknown): void;
}

/** Whether tabs can find out which of them leads: plain-http origins have no locks, and some frames may not use them. */
export async function canShare(name: string): Promise<boolean> {
  try {
    new BroadcastChannel(name).close();
    await navigator.locks.request(`${name} ?`, { ifAvailable: true }, () => {});
    return true;
  } catch {
    return false;
  }
}

export class TabChannel {
  readonly #name: string;
  readonly #events: TabChannelEvents;
  #channel: BroadcastChannel | undefined;
  #request: AbortController | undefined;
  #release: (() => void) | undefined;

  /** `name` tells browsers' users and protocol versions apart. */
  constructor(name: string, events: TabChannelEvents) {
    this.#name = name;
    this.#events = events;
  }

  /** Listens, and waits for the lock. */
  open(): void {
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (data instanceof Uint8Array) this.#events.frame(data as Uint8Array<ArrayBuffer>);
      else this.#events.message(data);
    };
    this.waitForLock();
  }

  /** Gives up the lock and the channel. */
  close(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.release();
  }

  post(message: unknown): void {
    try {
      this.#channel?.postMessage(message);
    } catch {
      // What cannot be copied, or a channel that is gone: a receiver notices by the count that something is missing.
    }
  }

  /**
   * Waits for its turn to lead, behind those that wait already. A page that cannot be seen leads only where nobody
   * else does: the lead is for one that is seen.
   */
  waitForLock(): void {
    const hidden = globalThis.document?.visibilityState === 'hidden';
    const request = new AbortController();
    this.#ask(request, hidden ? { ifAvailable: true } : { signal: request.signal });
  }

  /** Takes the lock from a tab that does nothing. That one learns of it when it does something again. */
  stealLock(): void {
    this.#ask(new AbortController(), { steal: true });
  }

  #ask(request: AbortController, options: LockOptions): void {
    this.release();
    if (!this.#channel) return;
    this.#request = request;
    const held = (lock: Lock | null) => {
      if (!lock || this.#request !== request) return;
      this.#events.granted();
      return new Promise<void>(resolve => {
        this.#release = resolve;
      });
    };
    navigator.locks.request(this.#name, options, held).catch(() => this.#lost(request, options));
  }

  /** A request is over without having been given up here. */
  #lost(request: AbortController, options: LockOptions): void {
    if (this.#request !== request) return;
    const stolen = this.#release !== undefined;
    this.release();
    if (stolen) this.#events.stolen();
    else if (options.steal) this.waitForLock();
  }

  /** Gives the lock back, or up. */
  release(): void {
    this.#request?.abort();
    this.#request = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}
