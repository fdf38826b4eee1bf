//! Printing: the whole thread on paper, by the page's command and by the browser's own.

import { api, longestThread, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openPage, rowsShown } from './page.mjs';

/** How many pages a PDF has: its page objects, which Chromium does not compress. */
function pages(pdf) {
  return (pdf.toString('latin1').match(/\/Type\s*\/Page\b/g) ?? []).length;
}

async function threadOf(count) {
  const id = await threadWith('The first message of all.', 'On paper');
  for (let n = 1; n < count; n += 1) {
    const code = `\n\n\`\`\`js\nconst wide = '${'x'.repeat(300)}';\n\`\`\`\n`;
    const text =
      n === count - 1
        ? 'The last message of all.'
        : `Message ${n}. ${'More words. '.repeat(20)}${n === 7 ? code : ''}`;
    await api('POST', `/threads/${id}/messages`, {
      role: n % 2 ? 'assistant' : 'user',
      parts: [{ type: 'text', text }],
    });
  }
  await api('POST', `/threads/${id}/messages`, {
    role: 'user',
    parts: [
      { type: 'text', text: `${'A very long question. '.repeat(2_000)}And this is its end.` },
      { type: 'file', mediaType: 'image/png', filename: 'dot.png', url: 'https://example.org/dot.png' },
    ],
  });
  return id;
}

/** A thread of more messages than are printed at once, as the sample library has one. */
async function restCheck(browser) {
  const { id, total } = await longestThread();
  if (total <= 2_000) return;
  const page = await openPage(browser, `/t/${id}`);
  await rowsShown(page);
  await check('what is too much to be printed at once is offered afterwards', async () => {
    await page.evaluate(() => {
      window.__prints = [];
      window.print = () => {
        const notice = document.querySelector('.print > .print-notice').textContent;
        window.__prints.push([document.querySelectorAll('.print-message').length, notice]);
        window.dispatchEvent(new Event('afterprint'));
      };
    });
    await page.keyboard.press('Control+p');
    await page.click('.print-status button:has-text("Print")', { timeout: 60_000 });
    await page.waitForFunction(() => window.__prints.length === 2, undefined, { timeout: 60_000 });
    const [first, second] = await page.evaluate(() => window.__prints);
    must(first[0] === 2_000 && !first[1].includes('its last'), JSON.stringify(first));
    must(second[0] > 0 && second[1].includes('its last 2,000 messages'), JSON.stringify(second));
  });
  await page.context().close();
}

export async function printChecks(browser) {
  await restCheck(browser);
  const id = await threadOf(140);
  const page = await openPage(browser, `/t/${id}`, { colorScheme: 'dark' });
  await rowsShown(page);
  const printed = () => page.$eval('.print', print => print.textContent);
  await check("the browser's own printing prints what is loaded, and says what is missing", async () => {
    await page.evaluate(() => {
      const keep = () => {
        window.__paper = document.querySelector('.print')?.textContent ?? '';
      };
      window.addEventListener('afterprint', keep, { once: true });
    });
    const count = pages(await page.pdf({ format: 'A4' }));
    must(count >= 5, `${count} pages`);
    const said = await page.evaluate(() => window.__paper);
    for (const words of ['The last message of all.', '“Print thread” in the menu'])
      must(said.includes(words), `"${words}" is not on paper`);
    await page.waitForSelector('.report:has-text("Only a part of the thread was printed")');
    must(!said.includes('New thread'), 'the sidebar is printed');
    return `${count} pages`;
  });
  await check('afterwards the page is as it was', async () => {
    await until('the paper to go', async () => (await page.$('.print')) === null);
    must(await page.isVisible('.composer'), 'the page is gone');
  });
  await check('the command in the menu, and Ctrl+P, read the thread and then print', async () => {
    await page.evaluate(() => {
      window.__prints = [];
      window.print = () => {
        window.__prints.push(document.querySelector('.print')?.textContent ?? '');
        window.dispatchEvent(new Event('beforeprint'));
        window.dispatchEvent(new Event('afterprint'));
      };
    });
    await page.click('[aria-label="More"]');
    await page.click('[role="menuitem"]:has-text("Print thread")');
    await until('the print', () => page.evaluate(() => window.__prints.length === 1));
    await page.keyboard.press('Control+p');
    await until('the other', () => page.evaluate(() => window.__prints.length === 2));
    for (const text of await page.evaluate(() => window.__prints)) {
      must(
        text.includes('The first message of all.') && text.includes('And this is its end.'),
        'not the whole',
      );
    }
  });
  await check('on paper: light colours, nothing of the page, code wrapped, images by name', async () => {
    await page.evaluate(() => {
      window.__print = window.print;
      window.print = () => {};
    });
    await page.keyboard.press('Control+p');
    await page.waitForSelector('.print', { state: 'attached' });
    await page.emulateMedia({ media: 'print', colorScheme: 'dark' });
    must(!(await page.isVisible('#root')), 'the page is printed');
    const found = await page.evaluate(() => ({
      ink: getComputedStyle(document.querySelector('.print')).color,
      pre: getComputedStyle(document.querySelector('.print pre')).whiteSpace,
      wide: document.documentElement.scrollWidth <= document.documentElement.clientWidth,
      image: document.querySelector('.print .md-image-ask').checkVisibility(),
      button: document.querySelector('.print .code button').checkVisibility(),
    }));
    must(found.ink === 'rgb(36, 34, 30)', `the ink is ${found.ink}`);
    must(found.pre === 'pre-wrap' && found.wide, JSON.stringify(found));
    must(found.image && !found.button, JSON.stringify(found));
    await page.emulateMedia({ media: 'screen' });
    await page.evaluate(() => {
      window.print = window.__print;
      window.dispatchEvent(new Event('afterprint'));
    });
  });
  await check('with a server that says nothing the browser prints at once', async () => {
    await page.context().route('**/v1/threads/**', () => {});
    const started = performance.now();
    await page.evaluate(() => window.dispatchEvent(new Event('beforeprint')));
    must((await printed()).includes('The last message of all.'), 'nothing is printed');
    must(performance.now() - started < 5_000, 'the page stood still');
    await page.evaluate(() => window.dispatchEvent(new Event('afterprint')));
    await page.context().unrouteAll();
  });
  await check('without the server the loaded part is printed, and says that it is a part', async () => {
    await page.context().route('**/v1/threads/**', route => route.abort());
    await page.keyboard.press('Control+p');
    await until('the print', () => page.evaluate(() => window.__prints.length === 3));
    const said = await page.evaluate(() => window.__prints[2]);
    must(said.includes('this is the part that was loaded'), 'nothing says so');
  });
  await page.context().close();
  await api('DELETE', `/threads/${id}`);
}
