//! Finding one's way: the switcher, new threads, links to messages, and coming back to where one was.

import { api, message, threadWith, tip } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { openPage, rows, rowsShown, sendText } from './page.mjs';

const pathOf = page => new URL(page.url()).pathname;

async function switcherChecks(browser) {
  const wanted = await threadWith('Far below.', 'Quokka husbandry');
  const others = [];
  for (let n = 0; n < 3; n += 1) others.push(await threadWith('On top.', `Newer ${n}`));
  // The list answers late: whoever does not wait opens the thread on top.
  const prepare = context =>
    context.route('**/v1/threads?*title=*', async route => {
      await new Promise(done => setTimeout(done, 700));
      await route.continue();
    });
  const page = await openThrough(browser, '/', { prepare });
  await page.waitForSelector(`[data-thread="${wanted}"]`);
  const type = async text => {
    await page.keyboard.press('Control+k');
    await page.waitForSelector('.switcher[open] input');
    await page.keyboard.type(text);
  };
  await check('the switcher opens the thread that was typed, however soon Enter comes', async () => {
    await type('quokka');
    await page.keyboard.press('Enter');
    await page.waitForURL(url => url.pathname !== '/');
    must(pathOf(page) === `/t/${wanted}`, `it opened ${pathOf(page)}`);
    must((await page.$('.switcher[open]')) === null, 'it stayed open');
  });
  await check('words in any order and in either case find it', async () => {
    await page.click('.new-thread');
    await type('HUSBANDRY quo');
    await page.keyboard.press('Enter');
    await page.waitForURL(url => url.pathname !== '/', { timeout: 5_000 });
    must(pathOf(page) === `/t/${wanted}`, `it opened ${pathOf(page)}`);
  });
  await check('Escape gives an Enter up that still waits', async () => {
    await page.click('.new-thread');
    // Not what was asked before: that answer may still be known.
    await type('quokka husb');
    await page.keyboard.press('Enter');
    await page.keyboard.press('Escape');
    await page.waitForTimeout(1_000);
    must(pathOf(page) === '/', 'a thread was opened');
  });
  await check('what no title has opens nothing', async () => {
    await type('no thread is called so');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.switcher .thread-list-empty');
    must(pathOf(page) === '/', 'a thread was opened');
    await page.keyboard.press('Escape');
  });
  await check('a new thread that is not sent yet is no answer to a title', async () => {
    // Its request is never answered.
    await page.context().route('**/v1/threads', (route, request) => {
      if (request.method() !== 'POST') return route.continue();
    });
    await sendText(page, 'Nothing to do with it.');
    await page.waitForURL(url => url.pathname !== '/');
    const made = pathOf(page);
    await type('quokka');
    await page.keyboard.press('Enter');
    await page.waitForURL(url => url.pathname !== made);
    must(pathOf(page) === `/t/${wanted}`, `it opened ${pathOf(page)}`);
  });
  await page.context().close();
  for (const id of [wanted, ...others]) await api('DELETE', `/threads/${id}`);
}

async function newThreadChecks(browser) {
  const page = await openPage(browser, '/');
  await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
  const missed = [];
  const titles = [];
  page.on('response', answer => answer.status() >= 400 && missed.push(answer.url()));
  await check('a new thread asks for nothing that is not there, and has its title at once', async () => {
    await sendText(page, 'Tell me about the quokka');
    await page.waitForURL(url => url.pathname.startsWith('/t/'));
    await until('the title', async () => {
      titles.push(await page.title());
      return titles.at(-1).startsWith('Tell me about the quokka');
    });
    await until('an answer', async () => (await rows(page)).at(-1)?.status === 'complete', 60_000);
    must((await page.title()).startsWith('Tell me about the quokka'), 'the title went again');
    must(missed.length === 0, missed.join(' '));
    must(page.complaints.length === 0, page.complaints.join(' | '));
  });
  await page.context().close();
  await api('DELETE', `/threads/${pathOf(page).slice(3)}`);
}

/** A thread of so many messages of several lines. */
async function longThread(count) {
  const id = await threadWith('Message 0.', 'Places');
  for (let n = 1; n < count; n += 1) {
    const text = `Message ${n}.\n\n${'More of it. '.repeat(1 + ((n * 7) % 40))}`;
    const role = n % 2 ? 'assistant' : 'user';
    await api('POST', `/threads/${id}/messages`, { role, parts: [{ type: 'text', text }] });
  }
  return id;
}

/** The first row in view, and where it begins. */
function topRow(page) {
  return page.evaluate(() => {
    const view = document.querySelector('.scroller').getBoundingClientRect().top;
    for (const row of document.querySelectorAll('.row[data-row]')) {
      const { top, bottom } = row.getBoundingClientRect();
      if (bottom > view) return { depth: Number(row.dataset.depth), top: Math.round(top - view) };
    }
    return undefined;
  });
}

/** The first row in view once it does not move any more. */
async function rest(page) {
  let last = '';
  return until('the list to rest', async () => {
    await page.waitForTimeout(120);
    const row = await topRow(page).catch(() => undefined);
    const now = JSON.stringify(row);
    const same = row !== undefined && now === last;
    last = now;
    return same && row;
  });
}

async function spotChecks(browser) {
  const [id, other] = [await longThread(130), await threadWith('Elsewhere.', 'Other')];
  const page = await openPage(browser, `/t/${id}`);
  await rowsShown(page);
  await page.mouse.move(700, 400);
  for (let turn = 0; turn < 12; turn += 1) {
    await page.mouse.wheel(0, -600);
    await page.waitForTimeout(60);
  }
  const was = await rest(page);
  await page.waitForTimeout(700);
  const same = (now, how) =>
    must(
      now.depth === was.depth && Math.abs(now.top - was.top) <= 1,
      `${how}: ${JSON.stringify([was, now])}`,
    );
  await check('the place in a thread is there again after a reload', async () => {
    must(was.depth < 120, `the wheel did not scroll: ${was.depth}`);
    await page.reload();
    await rowsShown(page);
    same(await rest(page), 'reload');
    return `message ${was.depth}, ${was.top} px`;
  });
  await check('and after reading another thread', async () => {
    await page.click(`[data-thread="${other}"] a`);
    await until('the other', async () => (await page.innerText('.list')).includes('Elsewhere.'));
    await page.click(`[data-thread="${id}"] a`);
    await until('this one', async () => (await rows(page)).length > 2);
    same(await rest(page), 'away and back');
  });
  await check('a place whose message is gone opens the thread at its end', async () => {
    await page.waitForTimeout(700);
    const here = await page.evaluate(() => localStorage.getItem('threadmill.places'));
    await page.goto('about:blank');
    await page.context().addInitScript(
      places => {
        localStorage.setItem('threadmill.places', places);
      },
      here.replace(/("[^"]*",(?:null|"[^"]*"),)"[^"]*"/, '$1"no-such-message"'),
    );
    await page.goto(`${new URL(process.env.THREADMILL_URL ?? 'http://127.0.0.1:7430').origin}/t/${id}`);
    await rowsShown(page);
    await until('the end', async () => (await rows(page)).some(row => row.depth === 129));
  });
  await check('a link to a message counts nothing as new', async () => {
    const { messages } = await api('GET', `/threads/${id}/messages?anchor=depth:20&before=0&after=1`);
    const link = await openPage(browser, `/t/${id}?m=${messages[0].id}`);
    await rowsShown(link);
    await rest(link);
    await link.waitForSelector('.jump[data-shown="true"]');
    const words = await link.innerText('.jump');
    must(!words.includes('new'), `the button says "${words}"`);
    await link.context().close();
  });
  await page.context().close();
  for (const thread of [id, other]) await api('DELETE', `/threads/${thread}`);
}

async function branchChecks(browser) {
  const id = await threadWith('First wording.', 'Branches kept');
  await api('POST', `/threads/${id}/messages`, {
    role: 'assistant',
    parts: [{ type: 'text', text: 'An answer.' }],
  });
  const { messages } = await tip(id);
  const [question] = messages;
  const edit = text => api('PATCH', `/threads/${id}/messages/${question.id}`, { text });
  await edit('Second wording.');
  await edit('Third wording.');
  const page = await openPage(browser, `/t/${id}`);
  await rowsShown(page);
  const shown = () => page.locator('.row-user').first().innerText();
  await check('the version chosen is there again after a reload, whatever others do', async () => {
    await until('the third', async () => (await shown()).includes('Third'));
    await page.locator('[aria-label="Previous version"]').first().click();
    await until('the second', async () => (await shown()).includes('Second'));
    await page.locator('[aria-label="Previous version"]').first().click();
    await until('the first', async () => (await shown()).includes('First'));
    await page.waitForTimeout(700);
    await edit('Fourth wording.');
    await page.reload();
    await rowsShown(page);
    await until('the rows', async () => (await page.locator('.versions-count').count()) > 0);
    must((await shown()).includes('First'), `it shows "${await shown()}"`);
    must((await page.locator('.versions-count').first().innerText()) === '1/4', 'not the first of four');
    must((await message(id, question.id)).parts[0].text === 'First wording.', 'the message changed');
  });
  await page.context().close();
  await api('DELETE', `/threads/${id}`);
}

export async function placeChecks(browser) {
  await switcherChecks(browser);
  await newThreadChecks(browser);
  await spotChecks(browser);
  await branchChecks(browser);
}
