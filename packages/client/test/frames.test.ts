//! When things are shown.

import { describe, expect, it, vi } from 'vitest';
import { Frames, type Publisher, pageFrames } from '../src/page/frames.js';
import { Page } from './surroundings.js';

class Counter implements Publisher {
  times: number[] = [];
  constructor(
    readonly page: Page,
    readonly work = 0,
  ) {}
  publish(): void {
    this.times.push(this.page.time);
    this.page.time += this.work;
  }
}

/** Marks a stream before every frame of `total` milliseconds and says how often it was flushed. */
function flushes(page: Page, frames: Frames, stream: Counter, total: number): number {
  const end = page.time + total;
  while (page.time < end) {
    frames.markStream(stream);
    page.frame();
  }
  return stream.times.length;
}

describe('Frames', () => {
  it('shows a store once a frame, however often it changes', () => {
    const page = new Page();
    const frames = new Frames(page);
    const store = new Counter(page);
    for (let i = 0; i < 5; i++) frames.mark(store);
    expect(store.times).toEqual([]);
    page.frame();
    page.frame();
    expect(store.times).toEqual([16]);
  });

  it('asks for a frame after what came is in its stores', async () => {
    const asked = vi.fn();
    vi.stubGlobal('requestAnimationFrame', asked);
    const frames = new Frames(pageFrames());
    const stores = [new Counter(new Page()), new Counter(new Page())];
    for (const store of stores) frames.mark(store);
    expect(asked).not.toHaveBeenCalled();
    await Promise.resolve();
    expect(asked).toHaveBeenCalledOnce();
    vi.unstubAllGlobals();
  });

  it('flushes streams at about thirty a second', () => {
    const page = new Page();
    const count = flushes(page, new Frames(page), new Counter(page), 1_000);
    expect(count).toBeGreaterThanOrEqual(28);
    expect(count).toBeLessThanOrEqual(32);
  });

  it('goes down to twenty a second on a page that does not keep up', () => {
    const page = new Page();
    const count = flushes(page, new Frames(page), new Counter(page, 12), 1_000);
    expect(count).toBeLessThanOrEqual(21);
    expect(count).toBeGreaterThanOrEqual(14);
  });

  it('shows nothing while the page is hidden and everything on return', () => {
    const page = new Page();
    const frames = new Frames(page);
    const [store, stream] = [new Counter(page), new Counter(page)];
    page.visible = false;
    frames.mark(store);
    frames.markStream(stream);
    page.frame();
    expect([store.times, stream.times]).toEqual([[], []]);
    page.show();
    expect([store.times.length, stream.times.length]).toEqual([1, 1]);
  });

  it('goes on after a frame that came while the page was hidden', () => {
    const page = new Page();
    const frames = new Frames(page);
    const store = new Counter(page);
    frames.mark(store);
    page.visible = false;
    page.frame();
    page.show();
    frames.mark(store);
    page.frame();
    expect(store.times.length).toBe(2);
  });
});
