//! Chromium and the pages of the bars.

import { chromium } from 'playwright-core';
import { pageScript } from './page-build.mjs';

/** A document of the server's that is empty and has no policy: the page is the script alone. */
const EMPTY = '/livez';

/** Chromium as root has no sandbox to offer. */
export const OPTIONS = {
  executablePath: process.env.CHROMIUM ?? '/usr/bin/chromium',
  args: ['--no-sandbox'],
};

export function launch({ args = [], ...options } = {}) {
  return chromium.launch({ ...OPTIONS, ...options, args: [...OPTIONS.args, ...args] });
}

let script;

/** From now on every page of the context is a page of the bars, at any address. */
export async function equip(context, ...before) {
  for (const watch of before) await context.addInitScript(watch);
  script ??= pageScript();
  await context.addInitScript({ content: await script });
  return context;
}

/** A tab with a client, made with `options`. */
export async function openTab(context, url, options = {}, path = EMPTY) {
  const page = await context.newPage();
  page.complaints = [];
  page.on('pageerror', error => page.complaints.push(error.message));
  await page.goto(url + path);
  await page.evaluate(options => window.__bars.start(options), options);
  return page;
}

/** Calls a method of the page's `__bars`. */
export function bars(page, method, ...args) {
  return page.evaluate(([method, args]) => window.__bars[method](...args), [method, args]);
}

/** What the browser's own counters say of a page. */
export async function measured(session) {
  const { metrics } = await session.send('Performance.getMetrics');
  return Object.fromEntries(metrics.map(({ name, value }) => [name, value]));
}
