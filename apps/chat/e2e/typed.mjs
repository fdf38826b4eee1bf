//! What was typed is never lost: an edit whose row, thread or page goes away, and letters beside a long text.

import { api, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { BASE, openPage, rowsShown, sendText } from './page.mjs';

const EDIT = '.edit-box textarea';
const AREA = '.composer textarea';

async function longThread() {
  const id = await threadWith('The question that is edited.', 'Typed');
  for (let n = 0; n < 12; n += 1)
    await api('POST', `/threads/${id}/messages`, {
      role: n % 2 ? 'user' : 'assistant',
      parts: [{ type: 'text', text: `Message ${n}. ${'More words. '.repeat(150)}` }],
    });
  return id;
}

const scroll = (page, to) =>
  page.$eval(
    '.scroller',
    (scroller, to) => scroller.scrollTo(0, to === 'end' ? scroller.scrollHeight : 0),
    to,
  );

/** Goes to another thread as a click on it does. */
const go = (page, path) =>
  page.evaluate(path => {
    history.pushState(null, '', path);
    dispatchEvent(new PopStateEvent('popstate'));
  }, path);

async function editChecks(browser) {
  const [threadId, other] = [await longThread(), await threadWith('Another.', 'Other')];
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  const typed = 'The question, with words that took an hour.';
  const isThere = async () => {
    await until('the editor', async () => {
      await scroll(page, 'start');
      return page.$(EDIT);
    });
    must((await page.inputValue(EDIT)) === typed, `the editor has "${await page.inputValue(EDIT)}"`);
  };
  await check('an edit stays while its row is away', async () => {
    await until('the first row', async () => {
      await scroll(page, 'start');
      return page.$('.row[data-depth="0"]');
    });
    await page.hover('.row[data-depth="0"]');
    await page.click('.row[data-depth="0"] [aria-label="Edit message"]');
    await page.fill(EDIT, typed);
    await until('the row to leave the page', async () => {
      await scroll(page, 'end');
      return (await page.$(EDIT)) === null;
    });
    await isThere();
  });
  await check('an edit stays while another thread is open, and over a reload', async () => {
    await go(page, `/t/${other}`);
    await until('the other thread', async () => (await page.innerText('.list')).includes('Another.'));
    await go(page, `/t/${threadId}`);
    await isThere();
    await page.reload();
    await rowsShown(page);
    await isThere();
  });
  await check('an edit that is given up is gone', async () => {
    await page.click('.edit-box button:has-text("Cancel")');
    await page.reload();
    await rowsShown(page);
    await until('the first row', async () => {
      await scroll(page, 'start');
      return page.$('.row[data-depth="0"]');
    });
    must((await page.$(EDIT)) === null, 'it is there again');
  });
  await check('an edit of a message that was changed meanwhile can be copied, and not saved', async () => {
    // Nothing depends on it: it changes in its place.
    await go(page, `/t/${other}`);
    await page.hover('.row-user');
    await page.click('.row-user [aria-label="Edit message"]');
    await page.fill(EDIT, typed);
    await go(page, '/');
    const { messages } = await api('GET', `/threads/${other}/messages?anchor=tip&before=1`);
    await api('PATCH', `/threads/${other}/messages/${messages[0].id}`, {
      parts: [{ type: 'text', text: 'Changed elsewhere.' }],
    });
    await page.goto(`${BASE}/t/${other}`);
    await page.waitForSelector('.edit-box [role="alert"]:has-text("changed elsewhere")');
    must((await page.inputValue(EDIT)) === typed, 'what was typed is gone');
    must(await page.isDisabled('.edit-box button:has-text("Send")'), 'it can be sent');
  });
  await page.context().close();
  for (const id of [threadId, other]) await api('DELETE', `/threads/${id}`);
}

async function fieldChecks(browser) {
  const threadId = await threadWith('Hello.', 'Field');
  const page = await openPage(browser, `/t/${threadId}`, {
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  await rowsShown(page);
  const many = 'A line of a log.\n'.repeat(2_000);
  const paste = async (field, text) => {
    await page.evaluate(text => navigator.clipboard.writeText(text), text);
    await page.focus(field);
    await page.keyboard.press('Control+v');
  };
  await check('many large pastes in a row: the field stays short, and what is typed stays', async () => {
    for (let times = 0; times < 4; times += 1) await paste(AREA, many);
    await page.waitForSelector('.held-text');
    await page.keyboard.type('typed');
    const value = await page.inputValue(AREA);
    must(value.length <= 64 * 1024 + 5, `${value.length} letters are in the field`);
    must(value.includes('typed'), 'what was typed is gone');
    await page.reload();
    await page.waitForSelector('.held-text');
    await page.click('[aria-label="Remove the long text"]');
  });
  await check('a drop, a yank and a replacement go by the same gate', async () => {
    for (const inputType of [
      'insertFromDrop',
      'insertFromYank',
      'insertReplacementText',
      'insertFromPaste',
    ]) {
      await page.fill(AREA, 'before');
      const goes = await page.$eval(
        AREA,
        (area, { inputType, data }) =>
          area.dispatchEvent(
            new InputEvent('beforeinput', { inputType, data, bubbles: true, cancelable: true }),
          ),
        { inputType, data: many.repeat(3) },
      );
      must(!goes, `${inputType} goes into the field`);
      await page.waitForSelector('.held-text');
      must((await page.inputValue(AREA)) === 'before', 'the field has changed');
      await page.click('[aria-label="Remove the long text"]');
    }
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

async function unsavedCheck(browser) {
  const threadId = await threadWith('Another.', 'Unsaved');
  await check('without an outbox, an edit that could not be saved is in its editor again', async () => {
    const page = await openPage(browser, `/t/${threadId}?engine=direct`);
    await rowsShown(page);
    await page
      .context()
      .route('**/v1/threads/*/messages/*', route =>
        route.request().method() === 'PATCH' ? route.abort() : route.continue(),
      );
    await page.hover('.row-user');
    await page.click('.row-user [aria-label="Edit message"]');
    await page.fill(EDIT, 'Typed for an hour.');
    await page.click('.edit-box button:has-text("Send")');
    await page.waitForSelector('.report');
    await until('the editor', () => page.$(EDIT));
    must((await page.inputValue(EDIT)) === 'Typed for an hour.', 'what was typed is gone');
    await page.context().close();
  });
  await api('DELETE', `/threads/${threadId}`);
}

async function takeBackCheck(browser) {
  const page = await openPage(browser, '/');
  await page.waitForSelector('.connection[data-state="live"]');
  await check(
    'a first message that is taken back stands before what was typed for a new thread',
    async () => {
      await page.context().setOffline(true);
      await sendText(page, 'First words.');
      await page.waitForSelector('.row-user[data-row]');
      const path = await page.evaluate(() => location.pathname);
      await go(page, '/');
      await page.waitForSelector('.suggestions');
      await page.fill(AREA, 'Other words.');
      await go(page, path);
      await page.click('[aria-label="Take it back"]');
      await page.waitForSelector('.suggestions');
      const typed = await page.inputValue(AREA);
      must(typed === 'First words.\n\nOther words.', `the composer has "${typed}"`);
    },
  );
  await page.context().close();
}

async function titleCheck(browser) {
  const threadId = await threadWith('Hello.', 'Renamed');
  const page = await openPage(browser, `/t/${threadId}`);
  await check('a title that is too long is cut, and says so', async () => {
    await page.focus(`[data-thread="${threadId}"] a`);
    await page.keyboard.press('F2');
    const field = `[data-thread="${threadId}"] input`;
    await page.fill(field, 'A title.');
    must((await page.$('.title-cut')) === null, 'it says so of a short one');
    await page.fill(field, 'ü'.repeat(300));
    await page.waitForSelector('.title-cut[role="alert"]:has-text("512 bytes")');
    must((await page.inputValue(field)) === 'ü'.repeat(256), 'it is not cut');
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function typedChecks(browser) {
  await titleCheck(browser);
  await takeBackCheck(browser);
  await unsavedCheck(browser);
  await editChecks(browser);
  await fieldChecks(browser);
}
