//! What the browser keeps and fetches ahead: drafts, a thread the reader is about to open, and forgetting it all; and
//! the engine that keeps nothing.

import { api, threadWith, unknownText } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { openPage, rows, rowsShown, sendText } from './page.mjs';

const composer = '.composer textarea';

export async function draftChecks(browser) {
  const [one, two] = [await threadWith('One.', 'Draft one'), await threadWith('Two.', 'Draft two')];
  const page = await openPage(browser, `/t/${one}`);
  await rowsShown(page);
  await check('drafts: one a thread, and they survive a reload', async () => {
    await page.fill(composer, 'half a thought');
    await page.click(`[data-thread="${two}"] a`);
    await until('the other thread', async () => (await page.inputValue(composer)) === '');
    await page.fill(composer, 'another half');
    await page.reload();
    await until(
      'the draft',
      async () => (await page.inputValue(composer).catch(() => '')) === 'another half',
    );
    await page.click(`[data-thread="${one}"] a`);
    await until('the first draft', async () => (await page.inputValue(composer)) === 'half a thought');
  });
  await check('sign out and forget: it asks, and nothing is kept', async () => {
    await page.click('[aria-label="More"]');
    await page.click('[role="menuitem"]:has-text("Sign out")');
    await page.waitForSelector('.dialog[open]:has-text("Sign out and forget?")');
    await Promise.all([page.waitForURL(url => url.pathname === '/'), page.click('.dialog[open] .danger')]);
    await page.waitForSelector('.suggestions');
    const kept = await page.evaluate(() => Object.keys(localStorage).filter(key => key.includes('draft')));
    must(kept.length === 0, `kept: ${kept}`);
  });
  await page.context().close();
  for (const id of [one, two]) await api('DELETE', `/threads/${id}`);
}

export async function storageChecks(browser) {
  const threadId = await threadWith('Nothing is kept.', 'Storage');
  await check('a browser that stores nothing: it is said once, and messages go out', async () => {
    const prepare = context =>
      context.addInitScript(() => Object.defineProperty(window, 'indexedDB', { value: undefined }));
    const page = await openThrough(browser, `/t/${threadId}`, { prepare });
    await rowsShown(page);
    await page.waitForSelector('[data-notice="storage"]');
    await sendText(page, 'All the same.');
    await until('an answer', async () => (await rows(page)).at(-1)?.role === 'assistant');
    await page.click('[data-notice="storage"] [aria-label="Dismiss"]');
    must((await page.$('[data-notice="storage"]')) === null, 'it stayed');
    await page.context().close();
  });
  await api('DELETE', `/threads/${threadId}`);
}

export async function prefetchChecks(browser) {
  const threadId = await threadWith('Fetched ahead.', 'Prefetch');
  const page = await openPage(browser, '/');
  await page.waitForSelector(`[data-thread="${threadId}"]`);
  await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
  const fetched = [];
  page.on('request', request => {
    if (request.url().includes(`/threads/${threadId}/messages`)) fetched.push(request.url());
  });
  await check('a thread under the pointer is fetched, and opening it fetches nothing more', async () => {
    await page.hover(`[data-thread="${threadId}"] a`);
    await until('the window', () => fetched.length > 0);
    await page.waitForTimeout(300);
    const before = fetched.length;
    const took = await page.evaluate(async id => {
      const pressed = performance.now();
      document.querySelector(`[data-thread="${id}"] a`).click();
      while (!document.querySelector('.row[data-row]')) await new Promise(requestAnimationFrame);
      return Math.round(performance.now() - pressed);
    }, threadId);
    await page.waitForTimeout(300);
    must(fetched.length === before, `${fetched.length - before} more`);
    return `rows after ${took} ms`;
  });
  await check('passing over threads fetches none of them', async () => {
    fetched.length = 0;
    // What is likely to come next is fetched a moment after a thread is shown: not the one that is made now.
    await page.waitForTimeout(1_500);
    // The new thread comes up where the pointer is.
    await page.mouse.move(900, 300);
    const other = await threadWith('Passed by.', 'Passed by');
    const asked = [];
    page.on('request', request => request.url().includes(other) && asked.push(request.url()));
    const link = `[data-thread="${other}"] a`;
    await page.waitForSelector(link);
    // The page's own clock: by another, a busy machine rests where it passes.
    await page.clock.install();
    await page.clock.pauseAt(Date.now() + 60_000);
    await page.hover(link);
    must(await page.isVisible(`${link}:hover`), 'the pointer is not there');
    await page.clock.runFor(70);
    await page.mouse.move(900, 300);
    must(!(await page.isVisible(`${link}:hover`)), 'the pointer is there still');
    await page.clock.runFor(1_000);
    await page.clock.resume();
    await page.waitForTimeout(300);
    must(asked.length === 0, asked.join(' '));
    await api('DELETE', `/threads/${other}`);
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function directChecks(browser) {
  const threadId = await threadWith('Hello.', 'Direct');
  const wasm = [];
  const page = await openPage(browser, `/t/${threadId}?engine=direct`);
  page.on('request', request => /\/threadmill-[^/]*\.wasm$/.test(request.url()) && wasm.push(request.url()));
  await rowsShown(page);
  await check('the direct engine: send, and the answer comes', async () => {
    await page.waitForSelector('[data-notice^="engine"]');
    await sendText(page, unknownText(40, 2, 61));
    await until('an answer', async () => (await rows(page)).some(row => row.role === 'assistant'));
    await until('its end', async () => (await rows(page)).at(-1)?.status === 'complete', 30_000);
    must(wasm.length === 0, 'the core was loaded');
  });
  await check('the direct engine: stop', async () => {
    await until('the send button', () => page.$('[aria-label="Send"]'));
    await sendText(page, unknownText(300, 6, 67));
    await until('an answer', async () => (await rows(page)).at(-1)?.status === 'streaming');
    await page.keyboard.press('Escape');
    await until('its end', async () => (await rows(page)).at(-1)?.status === 'stopped');
  });
  await check('the direct engine: edit, rename, new thread', async () => {
    await until('the send button', () => page.$('[aria-label="Send"]'));
    await page.press(composer, 'ArrowUp');
    await page.fill('.edit-box textarea', 'Tell me a joke');
    await page.keyboard.press('Enter');
    await until('the edit', async () =>
      (await page.locator('.row-user').last().innerText()).includes('Tell me a joke'),
    );
    await until('its answer', async () => (await rows(page)).at(-1)?.status === 'complete', 30_000);
    await page.click('.new-thread');
    await sendText(page, 'A new one, plainly.');
    await page.waitForURL(url => url.pathname.startsWith('/t/'));
    await rowsShown(page);
    await api('DELETE', `/threads/${new URL(page.url()).pathname.slice(3)}`);
  });
  await check('no complaint from the page of the direct engine', async () => {
    must(page.complaints.length === 0, page.complaints.join(' | '));
  });
  await page.context().close();
  await check('a core that does not load: the page works all the same, and says so', async () => {
    const prepare = context => context.route('**/*.wasm', route => route.abort());
    const plain = await openThrough(browser, `/t/${threadId}`, { prepare });
    await rowsShown(plain);
    await plain.waitForSelector('[data-notice="engine wasm_failed"]');
    await plain.context().close();
  });
  await api('DELETE', `/threads/${threadId}`);
}
