//! What a frame draws: as much as its budget, by what things turn out to be and not by what was guessed.

// @vitest-environment happy-dom

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { ReactNode } from 'react';
import { flushSync } from 'react-dom';
import { createRoot } from 'react-dom/client';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { MarkdownBlocks } from '../src/markdown/markdown';
import { takeParser } from '../src/markdown/parser';
import { PlainText, piecesOf } from '../src/text/plain-text';
import { spend, useTurn } from '../src/turns/turns';

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
async function growth(
  content: ReactNode,
  selector: string,
  all: number,
  root = document.body.appendChild(document.createElement('div')),
  react = createRoot(root),
): Promise<number[]> {
  flushSync(() => react.render(content));
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

it('a megabyte whose beginning changes comes in pieces again, one that goes on keeps those it has', async () => {
  const text = 'word '.repeat(200_000);
  const count = (text: string) => piecesOf(text).length;
  const root = document.body.appendChild(document.createElement('div'));
  const react = createRoot(root);
  await growth(<PlainText text={text} />, '.plain-piece', count(text), root, react);
  const first = root.querySelector('.plain-piece');
  const longer = `${text}more`;
  flushSync(() => react.render(<PlainText text={longer} />));
  expect([root.querySelector('.plain-piece'), root.textContent]).toEqual([first, longer]);

  const shifted = `edited ${longer}`;
  const steps = await growth(<PlainText text={shifted} />, '.plain-piece', count(shifted), root, react);
  expect(Math.max(...steps)).toBeLessThanOrEqual(5);
  expect(root.textContent).toBe(shifted);
});

it('blocks that may take long to read are read one a frame, whatever they turn out to be', async () => {
  const source = `- ${'a '.repeat(30_000)}`;
  const blocks = Array.from({ length: 4 }, (_, at) => `${source}${at}`);
  takeParser(new WebAssembly.Module(readFileSync(join(import.meta.dirname, '../wasm/markdown.wasm'))));
  const steps = await growth(<MarkdownBlocks blocks={blocks} />, 'ul', 4);
  expect(Math.max(...steps)).toBe(1);
});
