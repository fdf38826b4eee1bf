//! The operators' page in Chromium: against recorded answers, and against a running server that has the ops API open:
//! `THREADMILL_URL=http://127.0.0.1:7430 node e2e/ops/run.mjs`. `THREADMILL_FULL=1` makes the visits that analytics are held
//! to, too: they take minutes.

import { fileURLToPath } from 'node:url';
import { conclude } from '../checks.mjs';
import { launch } from '../page.mjs';
import { opsChecks } from './checks.mjs';
import { realChecks } from './real.mjs';
import { visitChecks } from './visits.mjs';

const SCREENS =
  process.env.E2E_SCREENS ?? fileURLToPath(new URL('../../../../target/screens', import.meta.url));

const browser = await launch();
await opsChecks(browser, SCREENS);
await realChecks(browser);
if (process.env.THREADMILL_FULL === '1') await visitChecks(browser, SCREENS);
await browser.close();
conclude();
