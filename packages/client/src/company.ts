//! The other tabs: the channel all of them hear, the lock that makes one of them the leader, and whether this one
//! can be seen.

/** Where the last epoch is remembered, so that a browser's next leader is later than any before. */
const EPOCH = 'threadmill.epoch.';

/** What happens in the tab's surroundings. */
export interface CompanyEvents {
  /** This tab holds the lock. */
  leads(epoch: number): void;
  /** The core of another tab said something. */
  heard(message: Uint8Array<ArrayBuffer>): void;
  /** Another tab's client said something. */
  told(message: unknown): void;
}

/** Whether tabs can find out which of them leads: plain-http origins have no locks. */
export function hasCompany(): boolean {
  return (
    typeof BroadcastChannel === 'function' &&
    typeof navigator === 'object' &&
    'locks' in navigator &&
    navigator.locks !== undefined
  );
}

export class Company {
  readonly #name: string;
  readonly #events: CompanyEvents;
  #channel: BroadcastChannel | undefined;
  #request: AbortController | undefined;
  #release: (() => void) | undefined;

  /** `name` tells browsers' users and protocol versions apart. */
  constructor(name: string, events: CompanyEvents) {
    this.#name = `threadmill:1:${name}`;
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
    this.#channel?.postMessage(message);
  }

  /** Waits for its turn to lead, behind those that wait already. */
  queue(): void {
    this.release();
    const request = new AbortController();
    this.#request = request;
    const held = () => {
      if (this.#request !== request) return;
      this.#events.leads(this.epoch);
      return new Promise<void>(resolve => {
        this.#release = resolve;
      });
    };
    navigator.locks.request(this.#name, { signal: request.signal }, held).catch(() => {});
  }

  /** Gives the lock back, or up. */
  release(): void {
    this.#request?.abort();
    this.#request = undefined;
    this.#release?.();
    this.#release = undefined;
  }

  get epoch(): number {
    try {
      return Number(localStorage.getItem(EPOCH + this.#name)) || 0;
    } catch {
      return 0;
    }
  }

  set epoch(epoch: number) {
    try {
      localStorage.setItem(EPOCH + this.#name, String(epoch));
    } catch {
      // Without it a leader learns of the last epoch when a tab that knows it joins.
    }
  }
}
