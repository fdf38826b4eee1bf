//! Messages on their way: without a network, refused, behind an answer, and taken back.

import { api, codeThread, textOf, threadWith, tip, unknownText } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { cuttable, openThrough } from './network.mjs';
import { ANSWERED, openPage, rows, rowsShown, sendText } from './page.mjs';

/** The rows that are not with the server yet: their text and state. */
export function unsent(page) {
  return page.$$eval('.row[data-outbox]', all =>
    all.map(row => ({ id: row.dataset.row, state: row.dataset.outbox, text: row.innerText })),
  );
}

/** How many messages of a thread say this. */
async function times(threadId, text) {
  const { messages } = await tip(threadId);
  return messages.filter(message => textOf(message) === text).length;
}

async function idle(page) {
  await until('the answer to end', () => page.$('.composer [aria-label="Send"]'), 60_000);
}

/** A page on a thread whose network can be cut. */
export async function openCuttable(browser, path, options = {}) {
  const network = await cuttable();
  const page = await openThrough(browser, path, { ...options, base: network.base });
  await rowsShown(page);
  await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
  const context = page.context();
  return {
    page,
    async cut() {
      await network.cut(context);
      await page.waitForSelector('.offline-line', { timeout: 10_000 });
    },
    restore: () => network.restore(context),
    async close() {
      await context.close();
      network.close();
    },
  };
}

export async function offlineChecks(browser) {
  const [threadId, other] = [await threadWith('Hello.', 'Offline'), await threadWith('Elsewhere.', 'Other')];
  const { page, cut, restore, close } = await openCuttable(browser, `/t/${other}`);
  await page.click(`[data-thread="${threadId}"] a`);
  await until('the thread', async () => (await rows(page)).some(row => row.role === 'user'));
  await check('offline: a message waits on the page, and is sent once on return', async () => {
    await cut();
    await sendText(page, 'Said without a network.');
    const row = await until('the row', async () => (await unsent(page))[0]);
    await until('what it waits for', async () =>
      (await unsent(page))[0]?.text.includes('when the connection is back'),
    );
    must((await page.inputValue('.composer textarea')) === '', 'the composer kept the text');
    await page.waitForSelector('.waiting');
    must((await times(threadId, 'Said without a network.')) === 0, 'the server has it already');
    await page.$eval(`[data-row="${row.id}"]`, element => {
      element.sameAsBefore = true;
    });
    await restore();
    await until('it to be sent', async () => (await unsent(page)).length === 0, 30_000);
    must((await times(threadId, 'Said without a network.')) === 1, 'it is not there exactly once');
    const same = await page.$eval(`[data-row="${row.id}"]`, element => element.sameAsBefore === true);
    must(same, 'the row was made anew when the server had the message');
    await idle(page);
    await page.waitForSelector('.offline-line', { state: 'detached' });
  });
  await check('offline: a message that was not sent is taken back with Escape', async () => {
    await cut();
    await sendText(page, 'Better not.');
    await until('the row', async () => (await unsent(page))[0]);
    await page.keyboard.press('Escape');
    await until(
      'the text to return',
      async () => (await page.inputValue('.composer textarea')) === 'Better not.',
    );
    must((await unsent(page)).length === 0, 'the row stayed');
    await page.fill('.composer textarea', '');
  });
  await check('offline: threads that were seen open', async () => {
    await page.click(`[data-thread="${other}"] a`);
    await until('the other thread', async () => (await page.innerText('.list')).includes('Elsewhere.'));
    await page.waitForSelector('.offline-line');
    await restore();
    await page.waitForSelector('.connection[data-state="live"]', { timeout: 40_000 });
  });
  await close();
  for (const id of [threadId, other]) await api('DELETE', `/threads/${id}`);
}

/** Where a row is in every frame until it is stopped. Runs in the page. */
function watchRow(id) {
  const tops = [];
  let on = true;
  const step = () => {
    const row = document.querySelector(`.row[data-row="${CSS.escape(id)}"]`);
    tops.push(row ? row.getBoundingClientRect().top : Number.NaN);
    if (on) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  window.__watched = () => {
    on = false;
    return tops;
  };
}

export async function stillnessChecks(browser) {
  const threadId = await codeThread(10);
  const { page, cut, restore, close } = await openCuttable(browser, `/t/${threadId}`);
  await check('the row being read stays while messages on their way come, and become real ones', async () => {
    await cut();
    await sendText(page, 'Read this later.');
    await until('the row', async () => (await unsent(page))[0]);
    await page.mouse.move(700, 400);
    await page.mouse.wheel(0, -300);
    await page.waitForTimeout(400);
    const reading = (await rows(page)).find(row => row.top > 60);
    await page.evaluate(watchRow, reading.id);
    await restore();
    await until('it to be sent', async () => (await unsent(page)).length === 0, 30_000);
    await until('the answer', async () => {
      const last = (await tip(threadId)).messages.at(-1);
      return last.role === 'assistant' && last.status === 'complete';
    });
    await page.waitForTimeout(500);
    const tops = await page.evaluate(() => window.__watched());
    const drift = Math.max(...tops) - Math.min(...tops);
    must(drift <= 1, `it moved by ${drift} px`);
    return `${tops.length} frames, drift ${drift.toFixed(2)} px`;
  });
  await close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function failureChecks(browser) {
  const threadId = await threadWith('Hello.', 'Failures');
  const page = await openPage(browser, `/t/${threadId}`, ANSWERED);
  await rowsShown(page);
  const refuse = (route, status, code) =>
    route.fulfill({
      status,
      contentType: 'application/problem+json',
      body: JSON.stringify({
        code,
        detail: 'The message is not wanted.',
        hint: 'Wait for better times.',
        status,
      }),
    });
  const path = `**/v1/threads/${threadId}/messages`;
  await check('a message that is refused says why, and is tried again by the keyboard', async () => {
    await page.route(path, (route, request) =>
      request.method() === 'POST' ? refuse(route, 400, 'invalid_request') : route.continue(),
    );
    await sendText(page, 'Far too much.');
    const failure = await page.waitForSelector('.row-failure[role="alert"]');
    const said = await failure.innerText();
    must(said.includes('Not sent. The message is not wanted. Wait for better times.'), said);
    await page.click('.waiting');
    await page.waitForSelector('.outbox-panel[open] li[data-state="failed"]');
    await page.keyboard.press('Escape');
    await page.unroute(path);
    await page.focus('.row-failure .text-button');
    await page.keyboard.press('Enter');
    await until('it to be sent', async () => (await unsent(page)).length === 0);
    must((await times(threadId, 'Far too much.')) === 1, 'it is not there exactly once');
    await idle(page);
  });
  await check('a message that is refused is given up', async () => {
    await page.route(path, (route, request) =>
      request.method() === 'POST' ? refuse(route, 413, 'message_too_large') : route.continue(),
    );
    await sendText(page, 'Never mind.');
    await page.click('.row-failure .text-button:has-text("Discard")');
    await until('the row to go', async () => !(await page.innerText('.list')).includes('Never mind.'));
    await page.unroute(path);
    must((await times(threadId, 'Never mind.')) === 0, 'the server has it');
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function queueChecks(browser) {
  const threadId = await threadWith('Hello.', 'Queue');
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await check('a message sent while an answer is written goes after it', async () => {
    await sendText(page, unknownText(120, 3, 51));
    await until('an answer', async () => (await rows(page)).some(row => row.status === 'streaming'));
    await sendText(page, 'And then?');
    const waiting = await until('the row', async () => (await unsent(page)).at(-1));
    must(waiting.text.includes('And then?'), 'another row waits');
    await until(
      'both answers',
      async () => {
        const { messages } = await tip(threadId);
        return (
          messages.filter(({ role, status }) => role === 'assistant' && status === 'complete').length === 2
        );
      },
      60_000,
    );
    const { messages } = await tip(threadId);
    must(messages.at(-2).id === waiting.id, 'it is not where it was sent');
    await idle(page);
  });
  await check('no complaint from the page that queued', async () => {
    // The server's refusal while the answer is written is how the outbox learns to wait.
    const others = page.complaints.filter(text => !text.includes('409'));
    must(others.length === 0, others.join(' | '));
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}
