//! Chromium, and what the checks read from the page.

import { chromium } from 'playwright-core';

export const BASE = process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430';

/** A browser. Chromium as root has no sandbox to offer. */
export function launch() {
  return chromium.launch({
    executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
    args: ['--no-sandbox'],
  });
}

/** Another group of checks may delete its thread just when this page fetches it ahead. */
function isGone(page, message) {
  const thread = /\/threads\/([^/?]+)\/messages/.exec(message.location().url)?.[1];
  return message.text().includes('404') && thread !== undefined && !page.url().includes(thread);
}

/** A page at `path`, of another server if that is said; what it complains about is collected in `page.complaints`. */
export async function openPage(browser, path, { base = BASE, ...options } = {}) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 }, ...options });
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', error => page.complaints.push(error.message));
  page.on('console', message => {
    if (message.type() === 'error' && !isGone(page, message)) page.complaints.push(message.text());
  });
  await page.goto(base + path);
  return page;
}

/**
 * For pages whose requests a check answers itself (`page.route`): once the worker has taken a page over, which it does when it
 * is ready, nobody hears of them.
 */
export const ANSWERED = { serviceWorkers: 'block' };

/** Waits until the open thread shows rows. */
export async function rowsShown(page) {
  await page.waitForSelector('.row[data-row]', { timeout: 15_000 });
}

/** The rows on the page, top to bottom. */
export function rows(page) {
  return page.$$eval('.row[data-row]', all =>
    all.map(row => ({
      id: row.dataset.row,
      depth: Number(row.dataset.depth),
      status: row.dataset.status,
      role: row.classList.contains('row-user') ? 'user' : 'assistant',
      top: row.getBoundingClientRect().top,
      bottom: row.getBoundingClientRect().bottom,
      code: row.querySelector('.code') !== null,
    })),
  );
}

/** The render counters, as they are now. */
export function counters(page) {
  return page.evaluate(() => structuredClone(window.__threadmillCounters));
}

/** Writes into the composer and sends. */
export async function sendText(page, text) {
  await page.fill('.composer textarea', text);
  // On a touch screen Enter makes a line.
  const touch = await page.evaluate(() => {
    try {
      return matchMedia('(pointer: coarse) and (hover: none)').matches;
    } catch {
      return false;
    }
  });
  if (touch) await page.click('.composer [aria-label="Send"]');
  else await page.press('.composer textarea', 'Enter');
}
