//! Promises that are settled by what comes later from the core, and those that nobody waits for too long.

/** Milliseconds a start waits for what the network has to say; it counts whenever it comes. */
const PATIENCE = 1_500;

/** What it comes to if that is soon. */
export function soon<T>(promise: Promise<T>): Promise<T | undefined> {
  return Promise.race([promise, new Promise<undefined>(resolve => setTimeout(resolve, PATIENCE))]);
}

/** What it comes to, or the abort, whichever is first. */
export async function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise<T>((resolve, reject) => {
    const aborted = () => reject(signal.reason as Error);
    if (signal.aborted) aborted();
    signal.addEventListener('abort', aborted, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', aborted));
  });
}

export class Waiters<T> {
  #waiting: { resolve: (value: T) => void; reject: (error: Error) => void }[] = [];

  get any(): boolean {
    return this.#waiting.length > 0;
  }

  wait(): Promise<T> {
    return new Promise((resolve, reject) => {
      this.#waiting.push({ resolve, reject });
    });
  }

  resolve(value: T): void {
    for (const waiter of this.#take()) waiter.resolve(value);
  }

  reject(error: Error): void {
    for (const waiter of this.#take()) waiter.reject(error);
  }

  #take() {
    const waiting = this.#waiting;
    this.#waiting = [];
    return waiting;
  }
}
