//! A page whose frames come when the test says so.

import type { FrameSource } from '../src/page/frames.js';

export class Page implements FrameSource {
  time = 0;
  visible = true;
  /** How long each read of the clock takes: a busy page. */
  cost = 0;
  #callbacks: ((now: number) => void)[] = [];
  #shown: (() => void)[] = [];

  request(callback: (now: number) => void): void {
    this.#callbacks.push(callback);
  }

  now(): number {
    this.time += this.cost;
    return this.time;
  }

  hidden(): boolean {
    return !this.visible;
  }

  onShown(callback: () => void): void {
    this.#shown.push(callback);
  }

  /** The next frame, `after` milliseconds on. */
  frame(after = 16): void {
    this.time += after;
    const callbacks = this.#callbacks;
    this.#callbacks = [];
    for (const callback of callbacks) callback(this.time);
  }

  show(): void {
    this.visible = true;
    for (const callback of this.#shown) callback();
  }
}
