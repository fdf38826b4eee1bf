//! The core of the page in two engines, near and far: Chromium and Firefox beside each other, each directly and with
//! 60 ms each way.
//!
//! `CORE="firefox-far chromium-near" THREADMILL_URL=… node e2e/core/run.mjs` runs some of them. The server needs the
//! provider `scripted` of `model.mjs`, which `scripts/e2e.sh` starts.

import { longestThread } from '../api.mjs';
import { beside, check, conclude, named } from '../checks.mjs';
import { delayed } from '../delay.mjs';
import { BASE } from '../page.mjs';
import { coreChecks } from './checks.mjs';
import { BROWSERS } from './driver.mjs';

/** Milliseconds each way. */
const FAR = 60;
const WANTED = (process.env.CORE ?? 'chromium-near chromium-far firefox-near firefox-far').split(' ');

const long = (await longestThread()).id;

/** One engine, in each of the ways that are wanted. */
async function runEngine(engine, launch) {
  const wanted = WANTED.filter(name => name.startsWith(`${engine}-`));
  if (wanted.length === 0) return;
  const browser = await launch().catch(error =>
    check(`${engine} starts`, () => {
      throw error;
    }),
  );
  if (!browser) return;
  for (const name of wanted) {
    const far = name.endsWith('-far') ? await delayed(BASE, FAR) : undefined;
    const started = performance.now();
    await named(name, () => beside(() => coreChecks(browser, far?.base ?? BASE, long)));
    console.log(`-- ${name}: ${((performance.now() - started) / 1_000).toFixed(1)} s`);
    far?.close();
  }
  await browser.close();
}

await beside(
  ...Object.entries(BROWSERS).map(
    ([engine, launch]) =>
      () =>
        runEngine(engine, launch),
  ),
);
conclude();
