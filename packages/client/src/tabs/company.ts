//! The other tabs: the channel all of them hear, the lock that makes one of them the leader, and whether this one
//! can be seen.
//!
//! Room `tabs`: the browser's channel and lock between tabs, as they are. Who leads and what is said is decided in
//! `crates/core`; nothing here reads what passes.

/** What happens in the tab's surroundings. */
export interface CompanyEvents {
  /** This tab holds the lock. */
  leads(): void;
  /** Another tab took the lock: this one did nothing for too long. */
  robbed(): void;
  /** The core of another tab said something. */
  heard(message: Uint8Array<ArrayBuffer>): void;
  /** Another tab's client said something. */
  told(message: unknown): void;
}

/** Whether tabs can find out which of them leads: plain-http origins have no locks, and some frames may not use them. */
export async function hasCompany(name: string): Promise<boolean> {
  try {
    new BroadcastChannel(name).close();
    await navigator.locks.request(`${name} ?`, { ifAvailable: true }, () => {});
    return true;
  } catch {
    return false;
  }
}

export class Company {
  readonly #name: string;
  readonly #events: CompanyEvents;
  #channel: BroadcastChannel | undefined;
  #request: AbortController | undefined;
  #release: (() => void) | undefined;

  /** `name` tells browsers' users and protocol versions apart. */
  constructor(name: string, events: CompanyEvents) {
    this.#name = name;
    this.#events = events;
  }

  /** Listens, and waits for its turn to lead. */
  enter(): void {
    this.#channel = new BroadcastChannel(this.#name);
    this.#channel.onmessage = ({ data }) => {
      if (data instanceof Uint8Array) this.#events.heard(data as Uint8Array<ArrayBuffer>);
      else this.#events.told(data);
    };
    this.queue();
  }

  /** Neither hears nor leads any more. */
  exit(): void {
    this.#channel?.close();
    this.#channel = undefined;
    this.release();
  }

  post(message: unknown): void {
    try {
      this.#channel?.postMessage(message);
    } catch {
      // What cannot be copied, or a channel that is gone: whoever missed it notices by the count.
    }
  }

  /**
   * Waits for its turn to lead, behind those that wait already. A page that cannot be seen leads only where nobody
   * else does: the lead is for one that is seen.
   */
  queue(): void {
    const hidden = globalThis.document?.visibilityState === 'hidden';
    const request = new AbortController();
    this.#ask(request, hidden ? { ifAvailable: true } : { signal: request.signal });
  }

  /** Takes the lock from a tab that does nothing. That one learns of it when it does something again. */
  steal(): void {
    this.#ask(new AbortController(), { steal: true });
  }

  #ask(request: AbortController, options: LockOptions): void {
    this.release();
    if (!this.#channel) return;
    this.#request = request;
    const held = (lock: Lock | null) => {
      if (!lock || this.#request !== request) return;
      this.#events.leads();
      return new Promise<void>(resolve => {
        this.#release = resolve;
      });
    };
    navigator.locks.request(this.#name, options, held).catch(() => this.#lost(request, options));
  }

  /** A request is over without having been given up here. */
  #lost(request: AbortController, options: LockOptions): void {
    if (this.#request !== request) return;
    const robbed = this.#release !== undefined;
    this.release();
    if (robbed) this.#events.robbed();
    else if (options.steal) this.queue();
  }

  /** Gives the lock back, or up. */
  release(): void {
    this.#request?.abort();
    this.#request = undefined;
    this.#release?.();
    this.#release = undefined;
  }
}
