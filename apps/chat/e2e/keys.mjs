//! Keys that are not what they seem: those of input methods, Enter on touch keyboards; and areas as high as their text.

import { api, threadWith, tip, unknownText } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { openPage, rows, rowsShown, sendText } from './page.mjs';

const AREA = '.composer textarea';

/** Presses a key as an input method does: `how` says which engine's way. */
function composedKey(page, selector, key, how) {
  return page.$eval(
    selector,
    (element, [key, how]) => {
      const init = { key, bubbles: true, cancelable: true };
      const fire = event => element.dispatchEvent(event);
      if (how === 'chromium')
        fire(new KeyboardEvent('keydown', { ...init, isComposing: true, keyCode: 229 }));
      if (how === 'webkit') {
        // The composition ends first, and the key that ended it comes after, with the code of all such keys.
        fire(new CompositionEvent('compositionstart'));
        fire(new CompositionEvent('compositionend', { bubbles: true, data: '日本' }));
        fire(new KeyboardEvent('keydown', { ...init, isComposing: false, keyCode: 229 }));
      }
      if (how === 'order') {
        // The key was pressed before the composition ended, and is told of after it.
        const key = new KeyboardEvent('keydown', { ...init, isComposing: false, keyCode: 13 });
        const until = performance.now() + 2;
        while (performance.now() < until);
        fire(new CompositionEvent('compositionend', { bubbles: true, data: '日本' }));
        fire(key);
      }
    },
    [key, how],
  );
}

const WAYS = ['chromium', 'webkit', 'order'];

async function compositionChecks(browser) {
  const threadId = await threadWith('Hello.', 'Keys');
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await check('an Enter that ends a composition sends nothing, in no engine', async () => {
    await page.fill(AREA, 'half a wo');
    for (const way of WAYS) await composedKey(page, AREA, 'Enter', way);
    await page.waitForTimeout(200);
    must((await page.inputValue(AREA)) === 'half a wo', 'it was sent');
    must((await tip(threadId)).messages.length === 1, 'the server has it');
    await page.fill(AREA, '');
  });
  await check('nor does it save an edit, and an Escape does not close the editor', async () => {
    await page.press(AREA, 'ArrowUp');
    await page.fill('.edit-box textarea', 'half an edit');
    for (const way of WAYS)
      for (const key of ['Enter', 'Escape']) await composedKey(page, '.edit-box textarea', key, way);
    must((await page.inputValue('.edit-box textarea')) === 'half an edit', 'the editor closed');
    await page.keyboard.press('Escape');
    await page.waitForSelector('.edit-box', { state: 'detached' });
  });
  await check('nor does it rename a thread or open one in the switcher', async () => {
    await page.focus(`[data-thread="${threadId}"] a`);
    await page.keyboard.press('F2');
    await page.fill('.renaming input', 'half a title');
    for (const way of WAYS) await composedKey(page, '.renaming input', 'Escape', way);
    must((await page.inputValue('.renaming input')) === 'half a title', 'the field closed');
    await page.keyboard.press('Escape');
    await page.keyboard.press('Control+k');
    await page.waitForSelector('.switcher[open] input');
    for (const way of WAYS) await composedKey(page, '.switcher input', 'Enter', way);
    await page.waitForTimeout(200);
    must((await page.$('.switcher[open]')) !== null, 'a thread was opened');
    await page.keyboard.press('Escape');
  });
  await check('an Escape that gives up a candidate does not stop the answer; the next one does', async () => {
    await sendText(page, unknownText(1_500, 4, 91));
    await until('an answer', async () => (await rows(page)).at(-1)?.status === 'streaming');
    for (const way of WAYS) await composedKey(page, AREA, 'Escape', way);
    await page.waitForTimeout(300);
    must((await rows(page)).at(-1)?.status === 'streaming', 'it was stopped');
    await page.keyboard.press('Escape');
    await until('its end', async () => (await rows(page)).at(-1)?.status === 'stopped');
  });
  await check('a plain Enter after a composition sends', async () => {
    await until('the send button', () => page.$('[aria-label="Send"]'));
    await page.fill(AREA, 'Tell me a joke');
    await composedKey(page, AREA, 'Enter', 'webkit');
    await page.press(AREA, 'Enter');
    await until('the message', async () => (await page.inputValue(AREA)) === '');
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

async function touchChecks(browser) {
  const threadId = await threadWith('Hello.', 'Touch');
  const phone = {
    viewport: { width: 412, height: 839 },
    hasTouch: true,
    isMobile: true,
    deviceScaleFactor: 2,
  };
  const page = await openPage(browser, `/t/${threadId}`, phone);
  await rowsShown(page);
  await check('on a touch screen Enter makes a line, and the button sends', async () => {
    await page.tap(AREA);
    must((await page.getAttribute(AREA, 'enterkeyhint')) === 'enter', 'the keyboard says something else');
    await page.keyboard.type('one');
    await page.keyboard.press('Enter');
    await page.keyboard.type('two');
    must((await page.inputValue(AREA)) === 'one\ntwo', 'no second line');
    await page.tap('[aria-label="Send"]');
    await until('the message', async () => (await page.innerText('.list')).includes('one\ntwo'));
    await until('the end of the answer', () => page.$('[aria-label="Send"]'), 60_000);
  });
  await check('on a touch screen Enter makes a line in the editor too', async () => {
    const last = page.locator('.row-user').last();
    await last.tap();
    await last.locator('[aria-label="Edit message"]').tap();
    await page.waitForSelector('.edit-box textarea');
    await page.keyboard.press('Enter');
    await page.keyboard.type('three');
    must((await page.inputValue('.edit-box textarea')) === 'one\ntwo\nthree', 'no third line');
    await page.locator('.edit-box .button').first().tap();
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

/** A browser that does not size areas by their text. */
async function heightChecks(browser) {
  const threadId = await threadWith('Hello.', 'Heights');
  const prepare = context =>
    context.addInitScript(() => {
      const supports = CSS.supports.bind(CSS);
      CSS.supports = (...asked) => !String(asked[0]).includes('field-sizing') && supports(...asked);
      document.addEventListener('DOMContentLoaded', () => {
        const style = document.createElement('style');
        style.textContent = 'textarea { field-sizing: fixed !important; }';
        document.head.append(style);
      });
    });
  const page = await openThrough(browser, `/t/${threadId}`, { prepare });
  await rowsShown(page);
  const height = selector => page.$eval(selector, area => area.getBoundingClientRect().height);
  await check('areas grow and shrink with their text where the browser does not size them', async () => {
    const low = await height(AREA);
    await page.fill(AREA, 'a\nb\nc\nd\ne\nf');
    const high = await height(AREA);
    must(high >= low + 4 * 20, `${low} px, and with six lines ${high} px`);
    await page.fill(AREA, Array.from({ length: 200 }, (_, line) => line).join('\n'));
    must((await height(AREA)) <= 400, 'it grew without end');
    await page.fill(AREA, '');
    must((await height(AREA)) === low, 'it did not shrink');
    await page.press(AREA, 'ArrowUp');
    const one = await height('.edit-box textarea');
    await page.fill('.edit-box textarea', 'a\nb\nc\nd\ne\nf');
    must((await height('.edit-box textarea')) > one + 60, 'the editor did not grow');
    return `${low} px, ${high} px with six lines`;
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

export async function keyChecks(browser) {
  await compositionChecks(browser);
  await touchChecks(browser);
  await heightChecks(browser);
}
