//! Very long texts in the composer: pasted, kept, sent whole, refused, and mended.

import { api, message, textOf, threadWith, tip } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openPage, rowsShown } from './page.mjs';

const AREA = '.composer textarea';
const LINES = Array.from({ length: 20_000 }, (_, line) => `Line ${line} of a log that somebody pasted.`).join(
  '\n',
);

export async function pasteChecks(browser) {
  const threadId = await threadWith('Hello.', 'Paste');
  const page = await openPage(browser, `/t/${threadId}`, {
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  await rowsShown(page);
  const paste = async text => {
    await page.evaluate(text => navigator.clipboard.writeText(text), text);
    await page.focus(AREA);
    await page.keyboard.press('Control+v');
  };
  await check('a short paste is text like any other', async () => {
    await paste('a few words');
    must((await page.inputValue(AREA)) === 'a few words', 'it is not in the field');
    await page.fill(AREA, '');
  });
  await check('a pasted megabyte stands beside the field, survives a reload, and is sent whole', async () => {
    await page.evaluate(() => {
      window.__longest = 0;
      new PerformanceObserver(list => {
        for (const { duration } of list.getEntries()) window.__longest = Math.max(window.__longest, duration);
      }).observe({ type: 'longtask' });
    });
    await paste(LINES);
    await page.waitForSelector('.held-text');
    const longest = await page.evaluate(() => Math.round(window.__longest));
    must((await page.inputValue(AREA)) === '', 'the field has it too');
    await page.reload();
    await page.waitForSelector('.held-text');
    await page.fill(AREA, 'What is wrong here?');
    await page.press(AREA, 'Enter');
    await until('the field to be empty', async () => (await page.$('.held-text')) === null);
    const sent = await until(
      'the message',
      async () => {
        const last = (await tip(threadId)).messages.findLast(({ role }) => role === 'user');
        const whole = last && textOf(await message(threadId, last.id));
        return whole?.startsWith('What is wrong here?') && whole;
      },
      30_000,
    );
    must(sent === `What is wrong here?\n\n${LINES}`, `${sent.length} letters were sent`);
    return `longest task of the paste ${longest} ms`;
  });
  await check('a message refused as too large can be copied, and edited and sent', async () => {
    // The answer says all of it back.
    await page.click('[aria-label="Stop the answer"]');
    await until('the answer to end', () => page.$('[aria-label="Send"]'), 60_000);
    const large = 'y'.repeat(1_200_000);
    await paste(large);
    await page.waitForSelector('.held-text');
    await page.press(AREA, 'Enter');
    await page.waitForSelector('.row-failure', { timeout: 30_000 });
    must(
      (await page.locator('.row-failure button', { hasText: 'Retry' }).count()) === 0,
      'it offers to try again',
    );
    await page.click('.row-failure [aria-label="Copy the text"]');
    await page.waitForSelector('.row-failure [data-state="copied"]');
    must(
      (await page.evaluate(async () => (await navigator.clipboard.readText()).length)) === large.length,
      'cut',
    );
    await page.click('.row-failure button:has-text("Edit")');
    await page.waitForSelector('.held-text');
    await until('the row to go', async () => (await page.$('.row-failure')) === null);
    await page.click('[aria-label="Remove the long text"]');
    must((await page.$('.held-text')) === null, 'it stayed');
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}
