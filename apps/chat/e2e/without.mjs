//! Browsers that lack something or whose storage fails: the page starts, messages go out, and it says what is missing.

import { api, threadWith, tip } from './api.mjs';
import { beside, check, must, until } from './checks.mjs';
import { openThrough } from './network.mjs';
import { BASE, rowsShown, sendText } from './page.mjs';

/** Milliseconds a message may take with a storage that never answers: the deadlines of an open and a transaction. */
const LATE = 15_000;

/** What runs in the page before anything else, and the notice that has to be seen then. */
const LACKS = {
  'localStorage throws': {
    notice: 'storage',
    init: () =>
      Object.defineProperty(window, 'localStorage', {
        get: () => {
          throw new DOMException('denied', 'SecurityError');
        },
      }),
  },
  'localStorage is null': {
    notice: 'storage',
    init: () => Object.defineProperty(window, 'localStorage', { value: null }),
  },
  'no WebAssembly': { notice: 'engine wasm_failed', init: () => delete window.WebAssembly },
  'WebAssembly that compiles nothing': {
    notice: 'engine wasm_failed',
    init: () => {
      WebAssembly.compileStreaming = () => Promise.reject(new WebAssembly.CompileError('disallowed'));
      WebAssembly.instantiate = WebAssembly.compileStreaming;
    },
  },
  'transactions never end': {
    notice: 'storage',
    init: () => {
      for (const event of ['oncomplete', 'onabort', 'onerror'])
        Object.defineProperty(IDBTransaction.prototype, event, { set: () => {} });
    },
  },
  'the database never opens': {
    notice: 'storage',
    init: () => {
      IDBFactory.prototype.open = () => ({});
    },
  },
  'indexedDB is null': {
    notice: 'storage',
    init: () => Object.defineProperty(window, 'indexedDB', { value: null }),
  },
  'asking for anything is forbidden': {
    notice: 'storage',
    init: () => {
      const forbid = (target, name) =>
        Object.defineProperty(target, name, {
          get: () => {
            throw new DOMException('denied', 'SecurityError');
          },
        });
      for (const name of ['serviceWorker', 'locks', 'clipboard', 'storage', 'permissions'])
        forbid(navigator, name);
      for (const name of [
        'indexedDB',
        'BroadcastChannel',
        'caches',
        'Notification',
        'matchMedia',
        'sessionStorage',
      ])
        forbid(window, name);
    },
  },
  'no locks, no channels, no randomUUID': {
    init: () => {
      Object.defineProperty(navigator, 'locks', { value: undefined });
      window.BroadcastChannel = class {
        constructor() {
          throw new DOMException('denied', 'SecurityError');
        }
      };
      crypto.randomUUID = undefined;
    },
  },
};

async function has(threadId, text) {
  const { messages } = await tip(threadId);
  return messages.some(({ parts }) => parts.some(part => part.text === text));
}

async function lackChecks(browser) {
  const lack = async ([name, { notice, init }]) => {
    const threadId = await threadWith('Hello.', name);
    await check(`${name}: the page starts, sends and says so`, async () => {
      const errors = [];
      const prepare = async context => {
        await context.addInitScript(init);
        context.on('weberror', error => errors.push(String(error.error())));
      };
      const page = await openThrough(browser, `/t/${threadId}`, { prepare });
      await rowsShown(page);
      const begun = performance.now();
      await sendText(page, 'All the same.');
      await until('the message on the server', () => has(threadId, 'All the same.'), LATE);
      const took = Math.round(performance.now() - begun);
      if (notice) await page.waitForSelector(`[data-notice="${notice}"]`);
      must(errors.length === 0, errors.join(' | '));
      await page.context().close();
      return `sent after ${took} ms`;
    });
    await api('DELETE', `/threads/${threadId}`);
  };
  // Two at a time: most of the time one of them waits for a deadline, and more would be late for theirs.
  const all = Object.entries(LACKS);
  const everyOther = first => async () => {
    for (let at = first; at < all.length; at += 2) await lack(all[at]);
  };
  await beside(everyOther(0), everyOther(1));
}

/** Puts a record in the place of what the browser has kept of a thread. Runs in the page. */
function replaceKept([threadId, record]) {
  const value = JSON.parse(record);
  return new Promise((resolve, reject) => {
    const request = indexedDB.open(`threadmill:local@${location.origin}/v1`);
    request.onerror = () => reject(request.error);
    request.onsuccess = () => {
      const transaction = request.result.transaction(['windows', 'lists', 'outbox'], 'readwrite');
      transaction.objectStore('windows').put(value, threadId);
      transaction.objectStore('lists').put(value, 'list');
      transaction.objectStore('outbox').put(value, 'k');
      transaction.oncomplete = () => resolve(request.result.close());
      transaction.onabort = () => reject(transaction.error);
    };
  });
}

async function recordChecks(browser) {
  const threadId = await threadWith('Hello.', 'Records');
  const errors = [];
  const prepare = async context => {
    context.on('weberror', error => errors.push(String(error.error())));
  };
  const page = await openThrough(browser, `/t/${threadId}`, { prepare });
  const window = { id: threadId, keptAt: 1, total: 1 };
  const row = { id: 'm', role: 'user', status: 'complete', depth: 0, branch: 'b', rev: 1, createdAt: 1 };
  const records = [
    { hello: 1 },
    null,
    7,
    [],
    { ...window, rows: [row] },
    { ...window, rows: [{ ...row, parts: [null] }] },
    { ...window, rows: [{ ...row, parts: [{ type: 'text', text: { toString: 1 } }] }] },
    { ...window, rows: { length: 5 } },
  ];
  await check('what the browser kept is no record: the thread opens all the same', async () => {
    for (const record of records) {
      await rowsShown(page);
      await page.evaluate(replaceKept, [threadId, JSON.stringify(record)]);
      await page.reload();
      await rowsShown(page);
      const text = await page.innerText('.list');
      must(text.includes('Hello.'), `with ${JSON.stringify(record)} the thread shows ${text}`);
    }
    must(errors.length === 0, errors.join(' | '));
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

/** Places in the storage that are none, or none that the server takes. */
const PLACES = threadId => [
  '{',
  '[[7]]',
  JSON.stringify([[threadId, 'no branch at all', 'no message', 10]]),
  JSON.stringify([[threadId, null, '%00/../..', 1e300]]),
  JSON.stringify([[threadId, '', '', 0]]),
  JSON.stringify([[threadId, null, 'x'.repeat(5_000), 0]]),
  JSON.stringify([[threadId, '00000000-0000-4000-8000-000000000000', null, null]]),
];

async function placeChecks(browser) {
  const threadId = await threadWith('Hello.', 'Places');
  await check('a place that is kept and is none: the thread opens at its end', async () => {
    for (const engine of ['', '?engine=direct']) {
      const page = await openThrough(browser, `/t/${threadId}${engine}`, {});
      // What differs between the engines is how they say no.
      for (const place of PLACES(threadId).slice(engine === '' ? 0 : -2)) {
        await rowsShown(page);
        // As the page goes it stores the place it knows.
        await page.evaluate(place => {
          addEventListener('pagehide', () => localStorage.setItem('threadmill.places', place));
        }, place);
        await page.reload();
        await rowsShown(page).catch(async () => {
          throw new Error(`with ${place.slice(0, 80)}: ${(await page.innerText('main')).slice(0, 200)}`);
        });
      }
      await page.context().close();
    }
  });
  await check('whatever the other keys hold, the page starts', async () => {
    const page = await openThrough(browser, `/t/${threadId}`, {
      prepare: context =>
        context.addInitScript(() => {
          for (const key of ['theme', 'provider', 'flags.local@x', 'signed-in.x', 'draft.x'])
            localStorage.setItem(`threadmill.${key}`, '{"__proto__":[');
          for (const key of Object.keys(localStorage))
            if (key.startsWith('threadmill')) localStorage.setItem(key, 'x'.repeat(100_000));
        }),
    });
    for (let times = 0; times < 2; times += 1) {
      await rowsShown(page);
      await page.reload();
    }
    await rowsShown(page);
    await page.context().close();
  });
  await api('DELETE', `/threads/${threadId}`);
}

async function startChecks(browser) {
  await check('a script that does not come: the page says so, and a button tries again', async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    const missing = '**/assets/page-*.js';
    await context.route(missing, route => route.abort());
    const page = await context.newPage();
    await page.goto(BASE);
    const said = await page.waitForSelector('[role="alert"]:has-text("could not start")');
    must((await said.innerText()).includes('kept'), 'it does not say what became of what was written');
    await context.unroute(missing);
    await page.click('button:has-text("Reload")');
    await page.waitForSelector('.composer textarea');
    await context.close();
  });
  await check('no script at all: the document says so after a while', async () => {
    const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
    await context.route('**/assets/*.js', route => route.abort());
    const page = await context.newPage();
    await page.goto(BASE);
    await page.waitForSelector('.starting:has-text("load the page again")', { state: 'visible' });
    await context.close();
  });
}

export async function withoutChecks(browser) {
  await lackChecks(browser);
  await recordChecks(browser);
  await placeChecks(browser);
  await startChecks(browser);
}
