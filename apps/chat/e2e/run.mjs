//! The page in real Chromium, against a running server: `THREADMILL_URL=http://127.0.0.1:7430 node e2e/run.mjs`.
//!
//! Sizes: E2E_SCROLL (messages to wheel past), E2E_TOKENS (tokens to stream). Targets: E2E_THREAD (the long thread;
//! else the longest there is), E2E_BRANCHES (threads whose every branch must be reachable, comma-separated).
//! Pictures go to E2E_SCREENS.

import { api, longestThread } from './api.mjs';
import { deleteChecks, editChecks, reachChecks } from './branches.mjs';
import { check, conclude, must } from './checks.mjs';
import { launch } from './page.mjs';
import { screens } from './screens.mjs';
import { scrollChecks } from './scroll.mjs';
import { interruptionChecks, renderChecks } from './stream.mjs';

const SCROLL = Number(process.env.E2E_SCROLL ?? 100);
const TOKENS = Number(process.env.E2E_TOKENS ?? 600);
const SCREENS = process.env.E2E_SCREENS ?? 'target/screens';

let long = process.env.E2E_THREAD ?? '';
await check('the server answers, and has a long thread', async () => {
  const { version } = await api('GET', '/info');
  if (long !== '') return `version ${version}`;
  const found = await longestThread();
  must(found.total > 0, 'there is no thread');
  long = found.id;
  return `version ${version}, ${found.total} messages in the longest`;
});

const browser = await launch();
try {
  const forked = await editChecks(browser);
  for (const thread of [forked, ...(process.env.E2E_BRANCHES ?? '').split(',').filter(Boolean)]) {
    await reachChecks(browser, thread);
  }
  await deleteChecks(browser, forked);
  await renderChecks(browser, TOKENS);
  await interruptionChecks(browser);
  await scrollChecks(browser, long, SCROLL);
  await screens(browser, long, SCREENS);
} catch (error) {
  await check('the checks ran to their end', () => {
    throw error;
  });
} finally {
  await browser.close();
}
conclude();
