//! Long messages, and messages of several parts: what the page writes and copies is the whole, or it says why not.

import { api, message, textOf, tip } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openPage, rows, rowsShown } from './page.mjs';

const LETTERS = 41_410;
const text = value => ({ type: 'text', text: value });
const IMAGE = {
  type: 'file',
  mediaType: 'image/png',
  filename: 'dot.png',
  url: 'data:image/png;base64,iVBORw0KGgo=',
};

/** So many letters, all lines different, the last words of their own. */
function longText(letters, end = 'and this is its end.') {
  let all = '';
  for (let line = 0; all.length < letters; line += 1) all += `Line ${line} of a long question.\n`;
  return all.slice(0, letters - end.length) + end;
}

async function threadOf(parts, title, more = []) {
  const { thread } = await api('POST', '/threads', { title, message: { role: 'user', parts } });
  for (const [role, said] of more)
    await api('POST', `/threads/${thread.id}/messages`, { role, parts: [text(said)] });
  return thread.id;
}

const firstOf = async threadId =>
  (await api('GET', `/threads/${threadId}/messages?anchor=depth:0&after=1`)).messages[0];
const opened = page => page.waitForSelector('.edit-box textarea');
const clipboard = page => page.evaluate(() => navigator.clipboard.readText());

async function withThread(browser, parts, body, options = {}) {
  const threadId = await threadOf(parts, 'Whole', options.more);
  const page = await openPage(browser, `/t/${threadId}`, {
    permissions: ['clipboard-read', 'clipboard-write'],
  });
  await rowsShown(page);
  await body(page, threadId);
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function wholeChecks(browser) {
  const long = longText(LETTERS);
  await withThread(browser, [text(long)], async (page, threadId) => {
    const { id } = await firstOf(threadId);
    await check('a long message, opened in the editor and sent unchanged, is not written', async () => {
      await page.focus('.composer textarea');
      await page.keyboard.press('ArrowUp');
      await opened(page);
      must((await page.inputValue('.edit-box textarea')) === long, 'the editor has not the whole');
      const writes = [];
      page.on('request', request => request.method() === 'PATCH' && writes.push(request.url()));
      await page.keyboard.press('Enter');
      await page.waitForSelector('.edit-box', { state: 'detached' });
      await page.waitForTimeout(300);
      must(writes.length === 0, 'something was written');
      must(textOf(await message(threadId, id)) === long, 'the message is another');
    });
    await check(
      'a long message, edited by a word, keeps its other letters; also after "Show all"',
      async () => {
        await page.click('.more-part');
        await page.waitForSelector('.more-part', { state: 'detached' });
        await page.focus('.composer textarea');
        await page.keyboard.press('ArrowUp');
        await opened(page);
        await page.keyboard.press('Control+End');
        await page.keyboard.type(' Really.');
        await page.keyboard.press('Enter');
        const now = await until('the edit', async () => {
          const said = textOf(await message(threadId, id));
          return said !== long && said;
        });
        must(now === `${long} Really.`, `${now.length} letters are stored`);
      },
    );
  });

  const huge = longText(900_000);
  await withThread(browser, [text(huge)], async (page, threadId) => {
    const { id } = await firstOf(threadId);
    await check('of a megabyte the editor shows the beginning, and the rest stays as it is', async () => {
      await page.focus('.composer textarea');
      await page.keyboard.press('ArrowUp');
      await opened(page);
      must((await page.inputValue('.edit-box textarea')).length < 20_000, 'the field has all of it');
      await page.keyboard.press('Control+Home');
      await page.keyboard.type('Really. ');
      await page.keyboard.press('Enter');
      const now = await until('the edit', async () => {
        const said = textOf(await message(threadId, id));
        return said !== huge && said;
      });
      must(now === `Really. ${huge}`, `${now.length} letters are stored`);
    });
  });

  await withThread(browser, [text(long)], async page => {
    await check('copying a long message puts all of it on the clipboard', async () => {
      await page.hover('.row-user');
      await page.click('[aria-label="Copy message"]');
      await page.waitForSelector('[aria-label="Copied"]');
      const copied = await clipboard(page);
      must(copied === long, `${copied.length} of ${long.length} letters`);
    });
    await check('where the whole cannot be had, copying and editing say so', async () => {
      await page.context().route('**/messages/*', route => route.abort());
      await page.evaluate(() => navigator.clipboard.writeText('before'));
      await page.hover('.row-user');
      await page.click('[aria-label="Copy message"]');
      await page.waitForSelector('[data-state="failed"]', { timeout: 30_000 });
      await page.waitForSelector('.report');
      must((await clipboard(page)) === 'before', 'half of it was copied');
      await page.focus('.composer textarea');
      await page.keyboard.press('ArrowUp');
      await page.waitForSelector('.edit-box[data-state="failed"]', { timeout: 30_000 });
      must((await page.$('.edit-box textarea')) === null, 'the editor opened all the same');
      await page.context().unroute('**/messages/*');
      await page.click('.edit-box .primary');
      await opened(page);
      must((await page.inputValue('.edit-box textarea')) === long, 'not the whole');
      await page.keyboard.press('Escape');
      await page.waitForSelector('.edit-box', { state: 'detached' });
    });
  });

  await withThread(
    browser,
    [text('before the picture'), IMAGE, text('after the picture')],
    async (page, threadId) => {
      const { id } = await firstOf(threadId);
      await check('an edit of a message of text, file and text changes the text alone', async () => {
        await page.focus('.composer textarea');
        await page.keyboard.press('ArrowUp');
        await opened(page);
        must((await page.locator('.edit-box textarea').count()) === 2, 'the two texts have not a field each');
        await page.locator('.edit-box textarea').nth(1).fill('behind the picture');
        await page.locator('.edit-box .primary').click();
        const now = await until('the edit', async () => {
          const stored = await message(threadId, id);
          return stored.rev > 1 && stored;
        });
        const said = now.parts.map(part => part.text ?? part.filename);
        must(said.join() === 'before the picture,dot.png,behind the picture', said.join());
      });
    },
  );

  await withThread(browser, [text('as it was')], async (page, threadId) => {
    const { id } = await firstOf(threadId);
    await check('a message that was changed elsewhere is not overwritten, and the words stay', async () => {
      await page.focus('.composer textarea');
      await page.keyboard.press('ArrowUp');
      await opened(page);
      await page.fill('.edit-box textarea', 'mine');
      await api('PATCH', `/threads/${threadId}/messages/${id}`, { text: 'theirs' });
      await page.waitForSelector('.edit-box [role="alert"]');
      must(await page.isDisabled('.edit-box .primary'), 'it can be sent');
      must((await page.inputValue('.edit-box textarea')) === 'mine', 'the words are gone');
      await page.keyboard.press('Enter');
      await page.waitForTimeout(200);
      must(textOf(await message(threadId, id)) === 'theirs', 'it was overwritten');
      await page.keyboard.press('Escape');
    });
  });

  await withThread(
    browser,
    [text(long)],
    async (page, threadId) => {
      await check('a long question with an answer forks whole', async () => {
        await page.hover('.row-user');
        await page.click('[aria-label="Edit message"]');
        await opened(page);
        await page.keyboard.press('Control+End');
        await page.keyboard.type('!');
        await page.keyboard.press('Enter');
        await until(
          'the version',
          async () => (await rows(page)).some(row => row.role === 'user') && page.$('.versions'),
        );
        const { messages } = await tip(threadId);
        const forked = await message(threadId, messages[0].id);
        must(textOf(forked) === `${long}!`, `${textOf(forked).length} letters`);
      });
      await check('no complaint from the page', () =>
        must(page.complaints.length === 0, page.complaints.join(' | ')),
      );
    },
    { more: [['assistant', 'An answer.']] },
  );
}
