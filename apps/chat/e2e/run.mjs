//! The page in real Chromium, against a running server: `THREADMILL_URL=http://127.0.0.1:7430 npm run e2e`.
//!
//! THREADMILL_FULL=1 takes the full sizes. E2E_SCROLL (messages to wheel past), E2E_TOKENS (tokens to stream) and
//! E2E_FORKED (forked threads to walk) set single ones; E2E_THREAD names the long thread, else the longest is taken.
//! Pictures go to E2E_SCREENS.

import { fileURLToPath } from 'node:url';
import { api, codeThread, forkedThreads, longestThread } from './api.mjs';
import { accessChecks } from './axe.mjs';
import { deleteChecks, editChecks, reachChecks } from './branches.mjs';
import { beside, check, conclude, must } from './checks.mjs';
import { feedbackChecks } from './feedback.mjs';
import { hangingChecks } from './hanging.mjs';
import { directChecks, draftChecks, prefetchChecks, storageChecks } from './kept.mjs';
import { keyChecks } from './keys.mjs';
import { historyCheck, leftChecks, troubleChecks } from './left.mjs';
import { narrowChecks } from './narrow.mjs';
import { failureChecks, offlineChecks, queueChecks, stillnessChecks } from './outbox.mjs';
import { launch } from './page.mjs';
import { pasteChecks } from './paste.mjs';
import { placeChecks } from './places.mjs';
import { printChecks } from './print.mjs';
import { screens } from './screens.mjs';
import { stateScreens } from './screens-states.mjs';
import { jumpChecks, scrollChecks } from './scroll.mjs';
import { startChecks } from './starts.mjs';
import { interruptionChecks, renderChecks } from './stream.mjs';
import { typedChecks } from './typed.mjs';
import { wholeChecks } from './whole.mjs';
import { withoutChecks } from './without.mjs';
import { workerChecks } from './worker.mjs';

const FULL = process.env.THREADMILL_FULL === '1';
const size = (name, small, full) => Number(process.env[name] ?? (FULL ? full : small));
const SCROLL = size('E2E_SCROLL', 80, 1_000);
const TOKENS = size('E2E_TOKENS', 600, 600);
const FORKED = size('E2E_FORKED', 10, 10_000);
const SCREENS = process.env.E2E_SCREENS ?? fileURLToPath(new URL('../../../target/screens', import.meta.url));

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

/** What is looked at frame by frame. */
async function motion() {
  await stillnessChecks(browser);
  await prefetchChecks(browser);
  await scrollChecks(browser, long, SCROLL, 'real text');
  const code = await codeThread(90);
  await scrollChecks(browser, code, 60, 'code');
  await api('DELETE', `/threads/${code}`);
  await jumpChecks(browser, long);
}

/** Finding one's way. */
async function ways() {
  const forked = await editChecks(browser);
  await reachChecks(browser, await forkedThreads(FORKED));
  await deleteChecks(browser, forked);
  await placeChecks(browser);
}

/** What waits for a network, a storage or another tab most of the time. */
async function trouble() {
  await offlineChecks(browser);
  await failureChecks(browser);
  await troubleChecks(browser);
  await queueChecks(browser);
  await draftChecks(browser);
  await storageChecks(browser);
  await withoutChecks(browser);
  await startChecks(browser);
  await hangingChecks(browser);
  await directChecks(browser);
  await workerChecks(browser);
}

/** What is written and read; all pages of a browser share the clipboard. */
async function writing() {
  await wholeChecks(browser);
  await keyChecks(browser);
  await feedbackChecks(browser);
  await pasteChecks(browser);
  await typedChecks(browser);
  await leftChecks(browser);
  await historyCheck(browser);
  await narrowChecks(browser);
  await printChecks(browser);
}

// Alone: renders are counted beside a list that has to see nearly every token.
await beside(() => renderChecks(browser, TOKENS).then(() => interruptionChecks(browser)));
await beside(
  () => motion().then(ways),
  () => trouble(),
  () => writing(),
);
await beside(
  () => accessChecks(browser),
  () => screens(browser, long, SCREENS).then(() => stateScreens(browser, SCREENS)),
);
await browser.close();
conclude();
