//! A tab whose page hangs while it holds the browser's connection: the others go on without it.

import { api, threadWith, tip } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { BASE, rows, rowsShown, sendText } from './page.mjs';

/** Milliseconds that the page does nothing: so many at full size, else until the others have sent, and at most so many. */
const FULL = process.env.THREADMILL_FULL === '1';
const HANGS = FULL ? 60_000 : 40_000;
/** Milliseconds in which others have to take over and send. */
const TAKE_OVER = 12_000;

/** The title of the thread that ends it sooner: a request that blocks is all that a hanging page hears. */
const LET_GO = 'Let go';

/** The page does nothing after the next key. Runs in the page. */
function hangWithNextKey({ ms, thread, word }) {
  const isOver = () => {
    const request = new XMLHttpRequest();
    request.open('GET', `/v1/threads/${thread}`, false);
    request.send();
    return JSON.parse(request.responseText).thread?.title === word;
  };
  const hang = () => {
    const end = performance.now() + ms;
    for (let pause = 0; performance.now() < end; ) {
      if (performance.now() < pause) continue;
      if (thread !== undefined && isOver()) return;
      pause = performance.now() + 300;
    }
  };
  document.querySelector('.composer textarea').addEventListener('keydown', () => setTimeout(hang));
}

/** Opens the thread in a tab of its own: no tab is the opener of another, so each has its own process. */
async function openTab(context, threadId) {
  const page = await context.newPage();
  await page.goto(`${BASE}/t/${threadId}`);
  await rowsShown(page);
  await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
  return page;
}

/** How often the thread holds a message of the user with this text. */
async function count(threadId, text) {
  const { messages } = await tip(threadId);
  return messages.filter(({ role, parts }) => role === 'user' && parts.some(part => part.text === text))
    .length;
}

async function sentWithin(page, threadId, text, ms) {
  const begun = performance.now();
  await sendText(page, text);
  await until(`“${text}” on the server`, async () => (await count(threadId, text)) > 0, ms);
  return Math.round(performance.now() - begun);
}

async function texts(page) {
  return page.$$eval('.row-user[data-row]', all => all.map(row => row.innerText.trim()));
}

export async function hangingChecks(browser) {
  const threadId = await threadWith('Hello.', 'Hanging');
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const [leader, other] = [await openTab(context, threadId), await openTab(context, threadId)];
  await check(
    'a tab that hangs with the connection: others send within 12 s, nothing is doubled',
    async () => {
      // It is about to send when it stops: what it had queued must not go twice.
      await leader.fill('.composer textarea', 'From the one that hangs.');
      await leader.evaluate(hangWithNextKey, {
        ms: HANGS,
        thread: FULL ? undefined : threadId,
        word: LET_GO,
      });
      const hung = performance.now();
      leader.press('.composer textarea', 'Enter').catch(() => {});
      const took = await sentWithin(other, threadId, 'While it hangs.', TAKE_OVER);
      const third = await openTab(context, threadId);
      await sentWithin(third, threadId, 'From a third.', TAKE_OVER);
      must(performance.now() - hung < HANGS, 'the tab did not hang for so long');
      await api('PATCH', `/threads/${threadId}`, { title: LET_GO });
      await until('the tab that hung', () => leader.evaluate(() => true).catch(() => false), HANGS + 10_000);
      const sent = ['From the one that hangs.', 'While it hangs.', 'From a third.'];
      await until(
        'all tabs to agree',
        async () => {
          const shown = await Promise.all([leader, other, third].map(texts));
          const waiting = await Promise.all([leader, other, third].map(page => page.$('.row[data-outbox]')));
          return (
            waiting.every(row => row === null) &&
            shown.every(all => sent.every(text => all.some(row => row.includes(text))))
          );
        },
        60_000,
      );
      for (const text of sent) must((await count(threadId, text)) === 1, `${text} is not there exactly once`);
      const ids = await Promise.all(
        [leader, other, third].map(async page => (await rows(page)).map(row => row.id)),
      );
      must(
        ids.every(all => new Set(all).size === all.length),
        'a row is there twice',
      );
      return `sent after ${took} ms`;
    },
  );
  await context.close();
  await api('DELETE', `/threads/${threadId}`);
}
