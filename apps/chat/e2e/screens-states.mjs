//! Pictures of what is not as usual: offline, messages that wait and that failed, the outbox, the direct engine, the
//! menu. For eyes, like those of `screens.mjs`.

import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { api, threadWith, unknownText } from './api.mjs';
import { beside, check, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { openCuttable, unsent } from './outbox.mjs';
import { ANSWERED, openPage, rows, rowsShown, sendText } from './page.mjs';

const SIZES = [
  { name: 'wide', viewport: { width: 1280, height: 800 } },
  { name: 'narrow', viewport: { width: 390, height: 844 }, hasTouch: true },
];
/** How long words take to appear that only slow writes need. */
const SLOW = 1_500;

async function offlineStates(browser, size, shoot) {
  const threadId = await threadWith('Where were we?', 'Before the tunnel');
  const { page, cut, restore, close } = await openCuttable(browser, `/t/${threadId}`, {
    ...size,
    ...ANSWERED,
  });
  await page.route('**/v1/threads/*/messages', (route, request) =>
    request.method() === 'POST'
      ? route.fulfill({
          status: 413,
          json: { code: 'message_too_large', detail: 'The message is too large.', status: 413 },
        })
      : route.continue(),
  );
  await sendText(page, 'A message that is far too long for anyone to read');
  await page.waitForSelector('.row-failure');
  await page.unrouteAll();
  await cut();
  await sendText(page, 'Sent in the tunnel');
  await sendText(page, 'And another one, on two lines\nbecause there is time');
  await page.waitForTimeout(SLOW);
  await shoot(page, 'offline');
  await page.click('.waiting', { force: true, timeout: 2_000 }).catch(async () => {
    await page.click('[aria-label="Show threads"]');
    await page.waitForTimeout(400);
    await shoot(page, 'offline-drawer');
    await page.click('.waiting');
  });
  await shoot(page, 'outbox');
  await page.keyboard.press('Escape');
  await restore();
  await until('all to be sent', async () => (await unsent(page)).length <= 1, 30_000);
  await close();
  await api('DELETE', `/threads/${threadId}`);
}

async function changedState(browser, size, shoot) {
  const threadId = await threadWith('The first question.', 'Changes in the tunnel');
  const say = (role, text) =>
    api('POST', `/threads/${threadId}/messages`, { role, parts: [{ type: 'text', text }] });
  await say('assistant', 'The first answer, which is not very good.');
  await say('user', 'The second question.');
  const { page, cut, close } = await openCuttable(browser, `/t/${threadId}`, { ...size, ...ANSWERED });
  await cut();
  const change = async (row, label) => {
    await page.locator(`.row-${row}`).first().hover();
    await page.locator(`.row-${row} [aria-label="${label}"]`).first().click();
  };
  await change('assistant', 'Delete message');
  await page.click('.dialog[open] .danger');
  await change('user', 'Edit message');
  await page.fill('.edit-box textarea', 'The first question, in better words.');
  await page.keyboard.press('Enter');
  await page.waitForTimeout(SLOW);
  await shoot(page, 'changes');
  await close();
  await api('DELETE', `/threads/${threadId}`);
}

async function queuedState(browser, size, shoot) {
  const threadId = await threadWith('Hello.', 'A queue');
  const page = await openPage(browser, `/t/${threadId}`, size);
  await rowsShown(page);
  await sendText(page, unknownText(220, 3, 71));
  await until('an answer', async () => (await rows(page)).some(row => row.status === 'streaming'));
  await sendText(page, 'And a question for after that');
  await page.fill('.composer textarea', 'One more, being written');
  await page.waitForTimeout(SLOW);
  await shoot(page, 'queued');
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

async function plainStates(browser, size, shoot) {
  const prepare = context => context.route('**/*.wasm', route => route.abort());
  const page = await openThrough(browser, '/', { ...size, prepare });
  await page.waitForSelector('.suggestions');
  const drawer = await page.isVisible('[aria-label="Show threads"]');
  if (drawer) await page.click('[aria-label="Show threads"]');
  await page.waitForSelector('[data-notice="engine wasm_failed"]');
  await page.click('[aria-label="More"]');
  await page.waitForTimeout(400);
  await shoot(page, 'direct-menu');
  await page.click('[role="menuitem"]');
  await shoot(page, 'sign-out');
  await page.context().close();
}

/** Takes the pictures into `directory`. */
export async function stateScreens(browser, directory) {
  await mkdir(directory, { recursive: true });
  const looks = SIZES.flatMap(size => ['light', 'dark'].map(colorScheme => ({ ...size, colorScheme })));
  await beside(
    ...looks.map(({ name, ...options }) => () => {
      const look = `${name}-${options.colorScheme}`;
      const shoot = (page, what) => page.screenshot({ path: join(directory, `${what}-${look}.png`) });
      return check(`screenshots of states, ${look}`, async () => {
        await offlineStates(browser, options, shoot);
        await changedState(browser, options, shoot);
        await queuedState(browser, options, shoot);
        await plainStates(browser, options, shoot);
      });
    }),
  );
}
