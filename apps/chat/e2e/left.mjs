//! What is written for something that is deleted elsewhere stays within reach, and a server that cannot read says so.

import { api, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { ANSWERED, openPage, rowsShown, sendText } from './page.mjs';

const AREA = '.composer textarea';
const LEFT = '.left-words li';

const copied = page => page.evaluate(() => navigator.clipboard.readText());

/** Copies and then discards the only text that is left, which has to be this. */
async function takeText(page, text) {
  await page.waitForSelector(`${LEFT}:has-text("${text}")`);
  await page.click(`${LEFT} [aria-label="Copy the text"]`);
  await until('the text to be copied', async () => (await copied(page)) === text);
  await page.click(`${LEFT} button:has-text("Discard")`);
  await page.waitForSelector('.left-words', { state: 'detached' });
}

/** Opens the editor of the only message, and types this at its end. */
async function editWith(page, words) {
  await page.hover('.row-user');
  await page.click('.row-user [aria-label="Edit message"]');
  await page.focus('.edit-box textarea');
  await page.keyboard.press('Control+End');
  await page.keyboard.type(words);
}

async function only(threadId) {
  return (await api('GET', `/threads/${threadId}/messages?anchor=tip&before=1`)).messages[0].id;
}

export async function leftChecks(browser) {
  const page = await openPage(browser, '/', { permissions: ['clipboard-read', 'clipboard-write'] });
  const open = async title => {
    const id = await threadWith('The question.', title);
    await page.click(`[data-thread="${id}"] a`);
    await until('the thread', async () => (await page.innerText('main')).includes('The question.'));
    await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
    return id;
  };
  await check(
    'a message that was sent offline to a thread that is gone can be copied and discarded',
    async () => {
      const id = await open('Gone, unsent');
      await page.context().setOffline(true);
      await sendText(page, 'Asked without a network.');
      await page.waitForSelector('.row[data-outbox^="send"]');
      await api('DELETE', `/threads/${id}`);
      await page.context().setOffline(false);
      await page.waitForSelector('.waiting[data-failed]:has-text("1 failed")');
      await takeText(page, 'Asked without a network.');
      await page.waitForSelector('.waiting', { state: 'detached' });
    },
  );
  await check(
    'a draft and an edit for a thread that is deleted elsewhere are shown in its place',
    async () => {
      const id = await open('Gone, typing');
      await editWith(page, ' More');
      await page.fill(AREA, 'A long draft.');
      await api('DELETE', `/threads/${id}`);
      await page.waitForSelector(`${LEFT}:has-text("The question. More")`);
      await page.click(`${LEFT}:has-text("The question. More") button:has-text("Discard")`);
      await takeText(page, 'A long draft.');
      await page.reload();
      await page.waitForSelector('.thread-problem');
      must((await page.$('.left-words')) === null, 'what was discarded is there again');
    },
  );
  await check('the words of an edit stay when its message is removed elsewhere', async () => {
    const id = await open('Removed, typing');
    await editWith(page, ' And more.');
    await api('DELETE', `/threads/${id}/messages/${await only(id)}`);
    await takeText(page, 'The question. And more.');
    must(await page.isVisible(AREA), 'the composer is gone');
    await api('DELETE', `/threads/${id}`);
  });
  await check(
    'an edit that was saved offline of a message that is removed elsewhere can be copied',
    async () => {
      const id = await open('Removed, saved');
      await page.context().setOffline(true);
      await editWith(page, ' Saved.');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.row[data-outbox^="edit"]');
      await api('DELETE', `/threads/${id}/messages/${await only(id)}`);
      await page.context().setOffline(false);
      await takeText(page, 'The question. Saved.');
      await api('DELETE', `/threads/${id}`);
    },
  );
  await page.context().close();
}

/** A browser that takes no entry of its history. */
export async function historyCheck(browser) {
  const page = await openPage(browser, '/');
  await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
  await check(
    'a first message opens its thread where the browser takes no entry of its history',
    async () => {
      await page.evaluate(() => {
        History.prototype.pushState = History.prototype.replaceState = () => {
          throw new DOMException('too many', 'SecurityError');
        };
      });
      await sendText(page, 'Said once.');
      await rowsShown(page);
      must((await page.inputValue(AREA)) === '', 'the text looks unsent');
    },
  );
  await page.context().close();
}

export async function troubleChecks(browser) {
  const id = await threadWith('The question.', 'Damaged');
  const fault = route =>
    route.fulfill({
      status: 500,
      contentType: 'application/problem+json',
      body: JSON.stringify({ code: 'internal', detail: 'A row is damaged.', hint: '', status: 500 }),
    });
  await check('a thread that the server cannot read says so, and is there once it can', async () => {
    const page = await openPage(browser, '/', ANSWERED);
    await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
    const path = `**/v1/threads/${id}/messages*`;
    await page.route(path, fault);
    await page.click(`[data-thread="${id}"] a`);
    const said = await page.waitForSelector('main .trouble[role="alert"]');
    const words = await said.innerText();
    must(words.includes('could not read this thread') && words.includes('A row is damaged.'), words);
    await page.unroute(path);
    await page.click('.trouble button:has-text("Retry")').catch(() => {});
    await rowsShown(page);
    await page.waitForSelector('.trouble', { state: 'detached' });
    await page.context().close();
  });
  await check('a list that the server cannot read says so, and is there once it can', async () => {
    const page = await openPage(browser, '/', ANSWERED);
    await page.waitForSelector(`[data-thread="${id}"]`);
    await page.route('**/v1/threads?*', fault);
    // What is kept would be shown: another title has nothing kept.
    await page.fill('[aria-label="Filter threads by title"]', 'Damaged');
    const said = await page.waitForSelector('.sidebar .trouble[role="alert"]');
    must((await said.innerText()).includes('could not read the list'), await said.innerText());
    await page.unroute('**/v1/threads?*');
    await page.waitForSelector(`[data-thread="${id}"]`);
    await page.waitForSelector('.trouble', { state: 'detached' });
    await page.context().close();
  });
  await api('DELETE', `/threads/${id}`);
}
