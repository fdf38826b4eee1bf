//! Thumbs under an answer and the report of a problem: what is sent, and that no word of the reader's is without leave. The
//! answers of the route are the check's own, so that what is sent can be looked at.

import { api, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { ANSWERED, openPage, rowsShown } from './page.mjs';

/** Notes what is sent, and answers as a server does. */
async function listen(page, answer = { status: 202, body: '' }) {
  const sent = [];
  await page.route('**/v1/feedback', (route, request) => {
    sent.push(request.postDataJSON());
    return route.fulfill(answer);
  });
  return sent;
}

const UP = '.row-assistant [aria-label="Good answer"]';
const DOWN = '.row-assistant [aria-label="Bad answer"]';
const REPORT = '.row-assistant button:has-text("Report a problem")';

async function answered() {
  const id = await threadWith('A question.', 'Feedback');
  const text = [{ type: 'text', text: 'An answer.' }];
  const { message } = await api('POST', `/threads/${id}/messages`, { role: 'assistant', parts: text });
  return { id, message: message.id };
}

export async function feedbackChecks(browser) {
  const { id, message } = await answered();
  const open = async () => {
    const page = await openPage(browser, `/t/${id}`, ANSWERED);
    await rowsShown(page);
    await page.waitForSelector(UP);
    return page;
  };
  await check('a thumb is sent once, by keyboard, and is shown as pressed', async () => {
    const page = await open();
    const sent = await listen(page);
    await page.focus(UP);
    await page.keyboard.press('Enter');
    await page.waitForSelector(`${UP}[aria-pressed="true"]`);
    await page.keyboard.press('Enter');
    await page.focus(DOWN);
    await page.keyboard.press('Enter');
    await page.waitForSelector(`${DOWN}[aria-pressed="true"]`);
    await until('both to be sent', () => sent.length >= 2);
    must(
      JSON.stringify(sent) === JSON.stringify(['up', 'down'].map(kind => ({ kind, thread: id, message }))),
      JSON.stringify(sent),
    );
    must((await page.getAttribute(UP, 'aria-pressed')) === 'false', 'both are pressed');
    await page.context().close();
  });
  await check('a problem is reported without its words unless the reader lets them be read', async () => {
    const page = await open();
    const sent = await listen(page);
    for (const consent of [false, true]) {
      if (consent) {
        await page.reload();
        await page.waitForSelector(UP);
      }
      await page.click(DOWN);
      await page.click(REPORT);
      await page.fill('.dialog[open] textarea', 'Something private.');
      if (consent) await page.check('.dialog[open] input[type="checkbox"]');
      await page.click('.dialog[open] button:has-text("Report")');
      await page.waitForSelector('.dialog[open]', { state: 'detached' });
    }
    const [without, withWords] = sent.filter(({ kind }) => kind === 'problem');
    must(!('text' in without) && !('consent' in without), JSON.stringify(without));
    must(withWords.text === 'Something private.' && withWords.consent === true, JSON.stringify(withWords));
    must(withWords.thread === id && withWords.message === message, JSON.stringify(withWords));
    await page.context().close();
  });
  await check('what a thumb brings has room on the narrowest page', async () => {
    const page = await openPage(browser, `/t/${id}`, {
      viewport: { width: 320, height: 640 },
      ...ANSWERED,
    });
    await rowsShown(page);
    await listen(page);
    await page.click(DOWN);
    await page.waitForSelector(REPORT);
    const right = await page.$$eval('.row-assistant .row-actions > *', all =>
      Math.max(...all.map(element => element.getBoundingClientRect().right)),
    );
    must(right <= 320, `it goes to ${right} of 320 pixels`);
    await page.context().close();
  });
  await check(
    'a thumb that the server does not take is taken back, and the server’s words are shown',
    async () => {
      const page = await open();
      const refusal = { code: 'route_not_found', detail: 'There is no such page or file.', status: 404 };
      await listen(page, { status: 404, json: refusal });
      await page.click(UP);
      await page.waitForSelector('.report:has-text("There is no such page or file.")');
      await page.waitForSelector(`${UP}[aria-pressed="false"]`);
      await page.context().close();
    },
  );
  await check('a problem of no message is reported from the menu', async () => {
    const page = await open();
    const sent = await listen(page);
    await page.click('[aria-label="More"]');
    await page.click('[role="menuitem"]:has-text("Report a problem")');
    await page.click('.dialog[open] button:has-text("Report")');
    await until('it to be sent', () => sent.length === 1);
    must(JSON.stringify(sent) === '[{"kind":"problem"}]', JSON.stringify(sent));
    await page.context().close();
  });
  await api('DELETE', `/threads/${id}`);
}
