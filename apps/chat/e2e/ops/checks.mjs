//! The operators' page against recorded answers, in states that a real node is seldom in: an incident, silence, an error, a
//! token, actions, texts.

import { readFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beside, check, must, until } from '../checks.mjs';
import { THREAD } from './answers.mjs';
import { startFixture } from './fixture.mjs';

const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core/axe.min.js'), 'utf8');
const WIDE = { viewport: { width: 1280, height: 800 } };
const NARROW = { viewport: { width: 320, height: 640 }, hasTouch: true };
/** As many as the page has, with one thread opened. */
const PLACES = [
  'now',
  'threads',
  `threads/default/${THREAD}`,
  'runs',
  'trace',
  'connections',
  'locks',
  'hot',
  'nodes',
  'rollout',
  'rollout/scalable-sync',
  'analytics',
  'budgets',
  'errors',
  'audit',
];

/** A fixture of its own for a group of checks, and a way to open the page. */
async function stage(browser, settings, body) {
  const { state, url, close } = await startFixture();
  Object.assign(state, settings);
  const contexts = [];
  /** One page at a time: what is asked for is counted. */
  const open = async (place = 'now', options = WIDE) => {
    await Promise.all(contexts.splice(0).map(context => context.close()));
    const context = await browser.newContext({ reducedMotion: 'reduce', ...options });
    contexts.push(context);
    const page = await context.newPage();
    page.complaints = [];
    page.on('pageerror', error => page.complaints.push(error.message));
    await page.goto(`${url}/ops#/${place}`);
    return page;
  };
  try {
    await body({ state, url, open });
  } finally {
    await Promise.all(contexts.map(context => context.close()));
    close();
  }
}

const word = page => page.textContent('.verdict-word');
const shows = (page, verdict) => page.waitForSelector(`.verdict[data-verdict="${verdict}"]`);

/** What axe finds, in a line each. */
async function findings(page) {
  await page.evaluate(AXE);
  const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations'] }));
  return found.violations.map(({ id, nodes }) => `${id}: ${nodes.slice(0, 3).map(({ target }) => target)}`);
}

/** Waits until a section shows what it was asked for. */
async function settled(page) {
  await shows(page, 'act');
  await page.waitForFunction(() => !document.querySelector('#main')?.textContent?.includes('Asking …'));
}

function firstScreen(browser) {
  return stage(browser, { incident: true }, async ({ state, open }) => {
    await check('ops: the first screen of an incident answers the five questions', async () => {
      const page = await open();
      await shows(page, 'act');
      const ids = await page.$$eval('.insight', all => all.map(({ dataset }) => dataset.insight));
      must(ids.join() === 'node-asleep,hot-slow,lock-hogged', `in the order ${ids}`);
      const first = page.locator('.insight').first();
      const names = await first.locator('.answers dt').allTextContents();
      must(names.join() === 'Who,Since when,Why,What now', names.join());
      for (const answer of await first.locator('.answers dd').allTextContents())
        must(answer.length > 3, 'an answer is empty');
      const { bottom } = await first.evaluate(card => card.getBoundingClientRect());
      must(bottom <= 800, `the first ends at ${bottom} of 800 pixels`);
      must((await page.title()).startsWith('Act now (3)'), await page.title());
    });
    await check('ops: a command is copied by its button, with the keyboard', async () => {
      const page = await open('now', { ...WIDE, permissions: ['clipboard-read', 'clipboard-write'] });
      await shows(page, 'act');
      await page.locator('.insight [aria-label="Copy command"]').first().focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('.insight [data-state="copied"]');
      const text = await page.evaluate(() => navigator.clipboard.readText());
      must(text === 'systemctl status threadmill', text);
    });
    await check('ops: nothing moves from one look to the next, and graphs are drawn', async () => {
      const page = await open();
      await page.waitForSelector('.graph canvas');
      await page.evaluate(() => {
        window.shifts = 0;
        new PerformanceObserver(list => {
          for (const entry of list.getEntries()) window.shifts += entry.value;
        }).observe({ type: 'layout-shift' });
      });
      const asked = state.asked.length;
      await until(
        'two more looks',
        () => state.asked.slice(asked).filter(path => path.includes('summary')).length >= 2,
      );
      const shifts = await page.evaluate(() => window.shifts);
      must(shifts === 0, `layout shifted by ${shifts}`);
      const inked = await page.$$eval(
        '.graph canvas',
        all =>
          all.filter(canvas =>
            canvas
              .getContext('2d')
              .getImageData(0, 0, canvas.width, canvas.height)
              .data.some(byte => byte > 0),
          ).length,
      );
      must(inked >= 10, `${inked} graphs have something in them`);
      must(page.complaints.length === 0, page.complaints.join());
      return `${inked} graphs`;
    });
  });
}

function trouble(browser) {
  return stage(browser, {}, async ({ state, open }) => {
    await check(
      'ops: a node that falls silent is no healthy node, and its last words are called old',
      async () => {
        const page = await open();
        await shows(page, 'ok');
        state.silent = true;
        await page.waitForSelector('.trouble', { timeout: 30_000 });
        must((await word(page)) === 'Unknown', await word(page));
        must((await page.textContent('.trouble')).includes('ago'), 'it does not say since when');
        must(await page.isVisible('.trouble .command'), 'it does not say what to do');
        must((await page.title()).startsWith('Unknown'), await page.title());
        state.silent = false;
        await shows(page, 'ok');
        await page.waitForSelector('.trouble', { state: 'detached' });
      },
    );
    await check('ops: a node that answers with errors says which', async () => {
      state.broken = true;
      const page = await open();
      await page.waitForSelector('.why');
      const said = await page.textContent('.why');
      must(said.includes('The database does not answer.') && said.includes('fixture-1'), said);
      must((await word(page)) === 'Unknown', await word(page));
      state.broken = false;
    });
    await check('ops: a hidden page asks nothing; standing still is a button', async () => {
      const page = await open();
      await shows(page, 'ok');
      await page.click('[aria-label="Stand still"]');
      await page.waitForSelector('.currency[data-state="paused"]');
      await page.evaluate(() => {
        Object.defineProperty(document, 'visibilityState', { configurable: true, get: () => 'hidden' });
        document.dispatchEvent(new Event('visibilitychange'));
      });
      await page.click('[aria-label="Stand still"]');
      const asked = state.asked.length;
      await page.waitForTimeout(3_500);
      must(state.asked.length === asked, `it asked ${state.asked.slice(asked)}`);
      await page.evaluate(() => {
        delete document.visibilityState;
        document.dispatchEvent(new Event('visibilitychange'));
      });
      await until('it to ask again', () => state.asked.length > asked);
    });
  });
}

function access(browser) {
  return stage(browser, { token: 'a-token-of-at-least-thirty-two-bytes' }, async ({ state, url, open }) => {
    await check('ops: a token is asked for, kept in this tab alone, and sent in no address', async () => {
      const page = await open();
      await page.waitForSelector('.token');
      await page.fill('.token input', 'wrong');
      await page.keyboard.press('Enter');
      await page.waitForSelector('.token .failed');
      await page.fill('.token input', state.token);
      await page.keyboard.press('Enter');
      await shows(page, 'ok');
      const kept = await page.evaluate(() => [
        Object.values({ ...localStorage }),
        Object.values({ ...sessionStorage }),
        document.cookie,
      ]);
      must(!JSON.stringify([kept[0], kept[2]]).includes(state.token), 'it is kept where it outlives the tab');
      must(kept[1].includes(state.token), 'a reload would ask for it again');
      must(!state.asked.join().includes(state.token), 'it was in an address');
      await page.reload();
      await shows(page, 'ok');
      const other = await page.context().newPage();
      await other.goto(`${url}/ops`);
      await other.waitForSelector('.token');
    });
  });
}

function doing(browser) {
  return stage(browser, { incident: true }, async ({ state, open }) => {
    await check('ops: without --ops-write there is no action', async () => {
      const page = await open('locks');
      await page.waitForSelector('.table td');
      must((await page.$$('#main .button')).length === 0, 'there is one');
    });
    await check('ops: an action wants a reason, is confirmed, and is done by keyboard alone', async () => {
      state.write = true;
      const page = await open('locks');
      await page.locator('#main .button', { hasText: 'Release' }).focus();
      await page.keyboard.press('Enter');
      await page.waitForSelector('dialog[open] textarea');
      must(await page.isDisabled('dialog .danger'), 'it needs no reason');
      await page.keyboard.press('Escape');
      await page.waitForSelector('dialog', { state: 'detached' });
      must(state.audit.length === 0, 'giving it up did it');
      await page.keyboard.press('Enter');
      await page.waitForSelector('dialog[open] textarea');
      await page.keyboard.type('Its holder is gone.');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      await until('it to be done', () => state.audit.length === 1);
      must(state.audit[0].why === 'Its holder is gone.', JSON.stringify(state.audit));
    });
    await check(
      'ops: a thread is found by how its id begins; its texts come only when asked for',
      async () => {
        const page = await open('threads');
        await page.fill('input[minlength]', '01935d40');
        await page.keyboard.press('Enter');
        await page.click('.table a');
        await page.waitForSelector('h2:has-text("Thread")');
        await page.waitForSelector('[aria-label="Newest messages"]');
        must(!(await page.content()).includes('A secret'), 'a text is shown unasked');
        must(!state.asked.some(path => path.includes('text=1')), 'a text was asked for');
        await page.click('button:has-text("Show texts")');
        await page.waitForSelector('pre:has-text("A secret of the user")');
        await page.click('button:has-text("Hide texts")');
        must(!(await page.content()).includes('A secret'), 'it is still there');
      },
    );
    await check('ops: a trace is followed to its end, without texts', async () => {
      const page = await open(`trace/default/thread/${THREAD}`);
      await page.click('button:has-text("Start")');
      await page.waitForSelector('.trace-state:has-text("the fixture has no more")');
      must((await page.$$('.trace li')).length === 5, 'not all events are shown');
      must(!(await page.content()).includes('A secret'), 'a text is shown unasked');
      must(
        state.asked.some(path => path === `GET trace?tenant=default&thread=${THREAD}`),
        state.asked.at(-1),
      );
    });
    await check('ops: routes that a node has not are said to be absent', async () => {
      state.absent.add('usage');
      const page = await open('budgets');
      await page.waitForSelector('#main :text("keeps no budgets")');
    });
  });
}

function reach(browser) {
  return stage(browser, { incident: true, write: true }, async ({ open }) => {
    for (const [name, size] of Object.entries({ wide: WIDE, narrow: NARROW })) {
      await check(
        `ops: axe finds nothing and nothing is wider than the page, ${name}, light and dark`,
        async () => {
          const all = [];
          const page = await open('now', size);
          for (const place of PLACES) {
            await page.evaluate(hash => {
              location.hash = hash;
            }, `#/${place}`);
            await settled(page);
            for (const colorScheme of ['light', 'dark']) {
              await page.emulateMedia({ colorScheme });
              all.push(...(await findings(page)).map(finding => `${place}, ${colorScheme}: ${finding}`));
            }
            const wide = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
            if (wide > 0) all.push(`${place}: ${wide} pixels too wide`);
          }
          must(all.length === 0, `\n${[...new Set(all)].join('\n')}`);
          must(page.complaints.length === 0, page.complaints.join());
          return `${PLACES.length} places`;
        },
      );
    }
    await check('ops: every section is reached with the keyboard', async () => {
      const page = await open();
      await settled(page);
      await page.keyboard.press('Tab');
      await page.keyboard.press('Enter');
      must(
        (await page.evaluate(() => document.activeElement?.id)) === 'main',
        'the first stop does not lead to the section',
      );
      const reached = new Set();
      await page.reload();
      await settled(page);
      for (let turn = 0; turn < 20; turn += 1) {
        await page.keyboard.press('Tab');
        reached.add(await page.evaluate(() => document.activeElement?.getAttribute('href')));
      }
      const links = await page.$$eval('.ops-menu a', all => all.map(link => link.getAttribute('href')));
      must(links.length === 13 && links.every(link => reached.has(link)), `${[...reached]}`);
    });
  });
}

function pictures(browser, directory) {
  return stage(browser, { write: true }, async ({ state, open }) => {
    await mkdir(directory, { recursive: true });
    for (const [name, size] of Object.entries({
      wide: WIDE,
      narrow: { viewport: { width: 390, height: 844 } },
    })) {
      await check(`ops: screenshots, ${name}, light and dark`, async () => {
        for (const colorScheme of ['light', 'dark']) {
          for (const incident of [true, false]) {
            state.incident = incident;
            const page = await open('now', { ...size, colorScheme });
            await page.waitForSelector('.graph canvas');
            const path = join(directory, `ops-${incident ? 'incident' : 'well'}-${name}-${colorScheme}.png`);
            await page.screenshot({ path });
            await page.context().close();
          }
        }
      });
    }
  });
}

/** The pages are two builds: nobody who chats loads, or keeps for starting offline, what is for operators. */
function apart() {
  return check('ops: the chat page and its service worker name no file of it', async () => {
    const read = name => readFileSync(new URL(`../../dist/${name}`, import.meta.url), 'utf8');
    const own = [...read('ops.html').matchAll(/assets\/[\w.-]+/g)].map(([name]) => name);
    must(own.length >= 2, 'the page has no files');
    const chat = [
      'index.html',
      'sw.js',
      ...[...read('index.html').matchAll(/assets\/[\w.-]+\.js/g)].map(([name]) => name),
    ];
    const named = chat.flatMap(name =>
      own.filter(file => read(name).includes(file)).map(file => `${name}: ${file}`),
    );
    must(named.length === 0, named.join());
    return `${chat.length} files`;
  });
}

/** All of it; pictures go to `directory`. */
export async function opsChecks(browser, directory) {
  await apart();
  await beside(
    () => firstScreen(browser).then(() => doing(browser)),
    () => trouble(browser).then(() => access(browser)),
    () => reach(browser),
  );
  await pictures(browser, directory);
}
