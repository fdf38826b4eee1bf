//! What a frame draws: as much as its budget, by what things turn out to be and not by what was guessed.

// @vitest-environment happy-dom

import type { ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { spend, useTurn } from '../src/markdown/turns';
import { PlainText, piecesOf } from '../src/plain-text';

/** What waits for the next frame. */
let frames: (() => void)[] = [];

beforeEach(() => {
  vi.useFakeTimers();
  vi.stubGlobal('requestAnimationFrame', (then: () => void) => frames.push(then));
});
afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
  frames = [];
});

/** A frame and the task after it, as far as React's own tasks go. */
async function frame(): Promise<void> {
  const now = frames;
  frames = [];
  for (const then of now) then();
  await vi.advanceTimersByTimeAsync(1);
}

/** How many of them each frame draws, until all are there. */
async function growth(content: ReactNode, selector: string, all: number): Promise<number[]> {
  const root = document.body.appendChild(document.createElement('div'));
  flushSync(() => createRoot(root).render(content));
  const steps: number[] = [];
  let before = 0;
  for (let tries = 0; before < all && tries < 1_000; tries += 1) {
    const now = root.querySelectorAll(selector).length;
    steps.push(now - before);
    before = now;
    await frame();
  }
  expect(before).toBe(all);
  return steps;
}

function Heavy() {
  const mine = useTurn(true, 400);
  if (!mine) return null;
  // It turns out to be more than was guessed.
  spend(5_000);
  return <i />;
}

it('a frame draws no more things after one that spent its budget', async () => {
  const all = Array.from({ length: 12 }, (_, at) => <Heavy key={String(at)} />);
  expect(Math.max(...(await growth(all, 'i', 12)))).toBe(1);
});

it('a megabyte of plain text comes in pieces, a few a frame', async () => {
  const text = 'word '.repeat(200_000);
  const steps = await growth(<PlainText text={text} />, '.plain-piece', piecesOf(text).length);
  expect(Math.max(...steps)).toBeLessThanOrEqual(5);
});
