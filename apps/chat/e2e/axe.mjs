//! Whether everybody can use the page: axe over its states, and by hand what no rule sees.

import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { api, codeThread, threadWith } from './api.mjs';
import { beside, check, must, until } from './checks.mjs';
import { ANSWERED, openPage, rowsShown, sendText } from './page.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDE = { viewport: { width: 1280, height: 800 } };
const NARROW = { viewport: { width: 390, height: 844 }, hasTouch: true };

/** What axe finds, in a line each. What is experimental in it is left out, but for the names of buttons. */
async function findings(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() =>
    window.axe.run(document, {
      rules: { 'label-content-name-mismatch': { enabled: true } },
      resultTypes: ['violations'],
    }),
  );
  return found.violations.map(
    ({ id, nodes }) =>
      `${id}: ${nodes.slice(0, 3).map(node => `${node.target} (${node.any[0]?.message ?? ''})`)}`,
  );
}

/** Waits for what fades, and for what fades after it: it is not its own colour yet. What moves for ever is left alone. */
function faded(page) {
  return page.evaluate(async () => {
    for (;;) {
      await new Promise(requestAnimationFrame);
      const ending = document
        .getAnimations()
        .filter(({ effect }) => Number.isFinite(effect?.getComputedTiming().endTime))
        .filter(({ playState }) => playState === 'running');
      if (ending.length === 0) return;
      await Promise.all(ending.map(({ finished }) => finished.catch(() => {})));
    }
  });
}

async function library() {
  const id = await codeThread(2);
  const say = (role, parts) => api('POST', `/threads/${id}/messages`, { role, parts });
  await say('assistant', [
    { type: 'reasoning', text: 'Thinking about it.' },
    {
      type: 'tool-search',
      toolCallId: 'c',
      state: 'output-available',
      input: { q: 'x' },
      output: { found: 1 },
    },
    {
      type: 'text',
      text: '# A heading\n\nText with a [link](https://example.org).\n\n## Below\n\n| a | b |\n|---|---|\n| 1 | 2 |\n\n- [x] done\n- [ ] not done\n\n> quoted\n',
    },
  ]);
  await say('user', [{ type: 'text', text: 'The last question.' }]);
  return id;
}

/** The states, each a name and the way into it from the open thread. */
function states(size) {
  const narrow = size === NARROW;
  return [
    ['thread', async () => {}],
    [
      'switcher',
      async page => {
        await page.keyboard.press('Control+k');
        await page.waitForSelector('.switcher[open] [role="option"]');
      },
    ],
    [
      'editor',
      async page => {
        await page.focus('.composer textarea');
        await page.keyboard.press('ArrowUp');
        await page.waitForSelector('.edit-box textarea');
      },
    ],
    [
      'delete',
      async page => {
        await page.locator('.row-user').last().hover();
        await page.locator('.row-user [aria-label="Delete message"]').last().click();
        await page.waitForSelector('.dialog[open]');
      },
    ],
    [
      'report of a problem',
      async page => {
        await page.route('**/v1/feedback', route => route.fulfill({ status: 202, body: '' }));
        await page.locator('.row-assistant').last().hover();
        await page.locator('.row-assistant [aria-label="Bad answer"]').last().click();
        await page.click('.row-assistant button:has-text("Report a problem")');
        await page.waitForSelector('.dialog[open] textarea');
      },
    ],
    [
      'menu',
      async page => {
        if (narrow) await page.click('[aria-label="Show threads"]');
        await page.click('[aria-label="More"]');
        await page.waitForSelector('[role="menu"]');
      },
    ],
    [
      'refused message',
      async page => {
        await page.route('**/v1/threads/*/messages', (route, request) =>
          request.method() === 'POST'
            ? route.fulfill({
                status: 413,
                json: { code: 'message_too_large', detail: 'Too large.', status: 413 },
              })
            : route.continue(),
        );
        await sendText(page, 'Refused.');
        await page.waitForSelector('.row-failure');
      },
    ],
    ...(narrow
      ? [
          [
            'drawer',
            async page => {
              await page.click('[aria-label="Show threads"]');
              await page.waitForSelector('.sidebar[data-drawer]');
            },
          ],
        ]
      : []),
  ];
}

async function ruleChecks(browser) {
  const id = await library();
  const inSize = ([name, size]) =>
    check(`axe finds nothing, ${name}, light and dark`, async () => {
      const all = [];
      let count = 0;
      const look = async (page, state) => {
        for (const colorScheme of ['light', 'dark']) {
          await page.emulateMedia({ colorScheme });
          await faded(page);
          count += 1;
          all.push(...(await findings(page)).map(finding => `${state}, ${colorScheme}: ${finding}`));
        }
        await page.context().close();
      };
      for (const [state, enter] of states(size)) {
        const page = await openPage(browser, `/t/${id}`, { ...size, ...ANSWERED, reducedMotion: 'reduce' });
        await rowsShown(page);
        await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
        await page.waitForSelector('.row-actions', { state: 'attached' });
        await enter(page);
        await look(page, state);
      }
      for (const [state, path, there] of [
        ['start', '/', '.suggestions'],
        ['no such thread', '/t/no-such-thread', '.thread-problem'],
      ]) {
        const page = await openPage(browser, path, { ...size, reducedMotion: 'reduce' });
        await page.waitForSelector(there);
        await look(page, state);
      }
      must(all.length === 0, `\n${[...new Set(all)].join('\n')}`);
      return `${count} states`;
    });
  await beside(...Object.entries({ wide: WIDE, narrow: NARROW }).map(size => () => inSize(size)));
  await api('DELETE', `/threads/${id}`);
}

const focused = page =>
  page.evaluate(() => ({
    inDrawer: document.activeElement?.closest('.sidebar') !== null,
    label: document.activeElement?.getAttribute('aria-label') ?? document.activeElement?.tagName,
  }));

async function drawerChecks(browser) {
  const [id, other] = [await threadWith('One.', 'One'), await threadWith('Two.', 'Two')];
  const page = await openPage(browser, `/t/${id}`, { viewport: NARROW.viewport });
  await rowsShown(page);
  const open = async () => {
    await page.focus('[aria-label="Show threads"]');
    await page.keyboard.press('Enter');
    await page.waitForSelector('.sidebar[data-drawer]');
  };
  const closed = async how => {
    await until(`${how} to close it`, async () => (await page.$('.sidebar[data-drawer]')) === null);
    const { label } = await focused(page);
    must(label === 'Show threads', `after ${how} the focus is on ${label}`);
  };
  await check('the drawer has the focus while it is open, and gives it back', async () => {
    await open();
    must((await focused(page)).inDrawer, 'it did not take the focus');
    for (let turn = 0; turn < 14; turn += 1) {
      await page.keyboard.press('Tab');
      const { inDrawer, label } = await focused(page);
      // From its last control the focus goes to the browser's own, which here is the body.
      must(inDrawer || label === 'BODY', `Tab went behind it, to ${label}`);
    }
    await page.keyboard.press('Escape');
    await closed('Escape');
    must(new URL(page.url()).pathname === `/t/${id}`, 'it left the thread');
  });
  await check('Back closes the drawer and stays on the thread', async () => {
    await open();
    await page.goBack();
    await closed('Back');
    must(new URL(page.url()).pathname === `/t/${id}`, 'it left the thread');
  });
  await check('a thread opened from the drawer leaves no entry of it behind', async () => {
    await open();
    await page.click(`[data-thread="${other}"] a`);
    await page.waitForURL(url => url.pathname === `/t/${other}`);
    await until('it to close', async () => (await page.$('.sidebar[data-drawer]')) === null);
    await page.goBack();
    await page.waitForURL(url => url.pathname === `/t/${id}`);
    must((await page.$('.sidebar[data-drawer]')) === null, 'Back opened it again');
  });
  await check('a wider screen closes the drawer, and the page can be used', async () => {
    await open();
    await page.setViewportSize(WIDE.viewport);
    await until('it to close', async () => (await page.$('.sidebar[data-drawer]')) === null);
    await page.click('.composer textarea');
  });
  await page.context().close();
  for (const thread of [id, other]) await api('DELETE', `/threads/${thread}`);
}

async function sizeChecks(browser) {
  const id = await threadWith('A question.', 'Enlarged');
  await check('enlarged four times there is room for messages', async () => {
    const page = await openPage(browser, `/t/${id}`, { viewport: { width: 320, height: 200 } });
    await rowsShown(page);
    const height = await page.$eval('.scroller', list => list.clientHeight);
    must(height >= 100, `${height} px of 200`);
    must(await page.isVisible('.composer textarea'), 'nothing can be written');
    const wide = await page.evaluate(() => document.documentElement.scrollWidth);
    must(wide <= 320, `the page is ${wide} px wide`);
    await page.context().close();
    return `${height} px of 200`;
  });
  await check('the link past the list moves the focus to the messages', async () => {
    const page = await openPage(browser, `/t/${id}`);
    await rowsShown(page);
    await page.focus('.skip');
    await page.keyboard.press('Enter');
    must((await page.evaluate(() => document.activeElement?.id)) === 'main', 'it moved no focus');
    await page.context().close();
  });
  await check('without motion a change of theme is there at once', async () => {
    const page = await openPage(browser, `/t/${id}`, { reducedMotion: 'reduce', colorScheme: 'light' });
    await rowsShown(page);
    await page.waitForSelector('[aria-current="page"] .thread-name');
    const [changing, ink] = await page.evaluate(() => {
      const name = document.querySelector('[aria-current="page"] .thread-name');
      const before = getComputedStyle(name).color;
      document.documentElement.dataset.theme = 'dark';
      const after = getComputedStyle(name).color;
      return [document.getAnimations().length, after !== before];
    });
    must(changing === 0 && ink, `${changing} transitions of what has none`);
    await page.context().close();
  });
  await check("in the system's colours the bubble of a question has an edge", async () => {
    const page = await openPage(browser, `/t/${id}`, { forcedColors: 'active' });
    await rowsShown(page);
    const width = await page.$eval('.row-user .body', body => getComputedStyle(body).borderTopWidth);
    must(width === '1px', `its edge is ${width}`);
    await page.context().close();
  });
  await api('DELETE', `/threads/${id}`);
}

export async function accessChecks(browser) {
  await ruleChecks(browser);
  await drawerChecks(browser);
  await sizeChecks(browser);
}
