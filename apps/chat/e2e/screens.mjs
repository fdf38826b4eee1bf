//! Pictures of the page, wide and narrow, light and dark. They are for eyes; the checks only see that they exist.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { check } from './checks.mjs';
import { openPage, rowsShown } from './page.mjs';

const SIZES = [
  { name: 'wide', viewport: { width: 1280, height: 800 } },
  { name: 'narrow', viewport: { width: 390, height: 844 }, hasTouch: true },
];

/** Takes the pictures of `threadId` and of the start into `directory`. */
export async function screens(browser, threadId, directory) {
  await mkdir(directory, { recursive: true });
  for (const { name, ...size } of SIZES) {
    for (const colorScheme of ['light', 'dark']) {
      await check(`screenshots, ${name}, ${colorScheme}`, async () => {
        const thread = await openPage(browser, `/t/${threadId}`, { ...size, colorScheme });
        await rowsShown(thread);
        await thread.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
        await thread.screenshot({ path: join(directory, `thread-${name}-${colorScheme}.png`) });
        await thread.context().close();
        const start = await openPage(browser, '/', { ...size, colorScheme });
        await start.waitForSelector('.suggestions');
        await start.screenshot({ path: join(directory, `start-${name}-${colorScheme}.png`) });
        await start.context().close();
      });
    }
  }
}
