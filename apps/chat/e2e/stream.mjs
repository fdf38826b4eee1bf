//! An answer streams: renders counted beside a naive list, a reload in the middle, a stop; nothing is lost.

import { api, message, textOf, threadWith, tip, unknownText } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { controlScript } from './control-build.mjs';
import { counters, openPage, rows, rowsShown, sendText } from './page.mjs';

/** Letters and digits alone: what Markdown and layout add or take away does not matter for "is it all there". */
const bare = text => text.replace(/[^\p{L}\p{N}]/gu, '');

/** What is written of a message on the page. */
function visible(page, id) {
  return page.evaluate(
    id => document.querySelector(`.row[data-row="${CSS.escape(id)}"] .body`)?.innerText ?? '',
    id,
  );
}

/** Waits for the message a run writes. */
async function writing(page) {
  return until('an answer to start', async () => (await rows(page)).find(row => row.status === 'streaming'));
}

async function ended(page, id, status) {
  await until(
    `the answer to be ${status}`,
    async () => (await rows(page)).find(row => row.id === id && row.status === status),
    120_000,
  );
}

/** The page shows what the server holds, in full. */
async function sameAsServer(page, threadId, id) {
  const held = textOf(await message(threadId, id));
  await until('the page to show what the server holds', async () => {
    return bare(await visible(page, id)).includes(bare(held));
  });
  return held;
}

/** The counters while `tokens` tokens stream into a thread, beside the control. */
export async function renderChecks(browser, tokens) {
  const threadId = await threadWith('Before the stream.', 'Streams');
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await page.evaluate(await controlScript());
  await page.evaluate(id => window.__control(id), threadId);
  await check(`stream ${tokens} tokens: the list does not render for them`, async () => {
    await sendText(page, unknownText(tokens, 10, 11));
    const row = await writing(page);
    await until('the first words', async () => (await visible(page, row.id)).length > 20);
    const start = await counters(page);
    await until(
      'most of the answer',
      async () => (await page.evaluate(() => window.__controlCounts.tokens)) >= tokens * 0.9,
      120_000,
    );
    const middle = await counters(page);
    await ended(page, row.id, 'complete');
    const end = await counters(page);
    const control = await page.evaluate(() => ({ ...window.__controlCounts }));
    const during = middle.listRenders - start.listRenders;
    const list = end.listRenders - start.listRenders;
    const own = end.rowRenders[row.id] ?? 0;
    const numbers = `${control.tokens} tokens: list ${during} while streaming, ${list} with its end; row ${own}; naive list ${control.listRenders}, its rows ${control.rowRenders}`;
    must(control.listRenders >= Math.min(300, tokens / 2), `the control proves nothing: ${numbers}`);
    must(during === 0 && list <= 2, numbers);
    must(own <= 10, numbers);
    await sameAsServer(page, threadId, row.id);
    return numbers;
  });
  await page.context().close();
}

/** A reload in mid-answer, and a stop. */
export async function interruptionChecks(browser) {
  const threadId = await threadWith('Before the reload.', 'Reloads');
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await check('reload in the middle of an answer: nothing is lost', async () => {
    await sendText(page, unknownText(150, 4, 23));
    const row = await writing(page);
    await until('some of the answer', async () => (await visible(page, row.id)).length > 80);
    const before = bare(await visible(page, row.id));
    await page.reload();
    await rowsShown(page);
    const after = await until('the text again', async () => bare(await visible(page, row.id)));
    must(after.startsWith(before), 'what was seen before the reload is not there after it');
    await ended(page, row.id, 'complete');
    const held = await sameAsServer(page, threadId, row.id);
    must(bare(await visible(page, row.id)) === bare(held), 'the page has more or other text than the server');
    return `${before.length} letters before, ${bare(held).length} in the end`;
  });
  await check('stop: the answer ends, its text stays', async () => {
    await sendText(page, unknownText(300, 6, 37));
    const row = await writing(page);
    await until('some of the answer', async () => (await visible(page, row.id)).length > 60);
    const pressed = performance.now();
    await page.keyboard.press('Escape');
    await ended(page, row.id, 'stopped');
    const took = Math.round(performance.now() - pressed);
    const held = await message(threadId, row.id);
    must(held.status === 'stopped', `the server says ${held.status}`);
    await sameAsServer(page, threadId, row.id);
    await page.waitForSelector(`.row[data-row="${row.id}"] .run-notice`);
    return `${took} ms`;
  });
  await check('two tabs show the same', async () => {
    const other = await openPage(browser, `/t/${threadId}`);
    await rowsShown(other);
    await sendText(page, unknownText(60, 2, 41));
    const row = await writing(other);
    await ended(page, row.id, 'complete');
    await ended(other, row.id, 'complete');
    must((await visible(page, row.id)) === (await visible(other, row.id)), 'the tabs differ');
    await other.context().close();
  });
  await check('the thread is whole on the server', async () => {
    const { messages } = await tip(threadId);
    const live = messages.filter(held => held.status === 'streaming');
    must(live.length === 0, `${live.length} still streaming`);
    await api('DELETE', `/threads/${threadId}`);
    await page.waitForSelector('.thread-problem');
  });
  await check('no complaint from the page while streaming', async () => {
    must(page.complaints.length === 0, page.complaints.join(' | '));
  });
  await page.context().close();
}
