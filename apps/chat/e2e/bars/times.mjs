//! Bar: how long a reader waits, in the bundled page with either engine, at full speed and at a quarter of it. Reports:
//! a budget that is missed is said, and fails nothing. Each time has a control from the same run, which is what the
//! browser needs without the page's script: how many times as long it takes says more than milliseconds.

import { unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { bars, equip, launch, measured, openTab } from './browser.mjs';
import { flagOff } from './probe.mjs';
import { forget, place, Server } from './server.mjs';
import { quantile, spread } from './stats.mjs';

const FULL = process.env.THREADMILL_FULL === '1';
const TIMES = FULL ? 20 : 4;
const MESSAGES = FULL ? 50 : 4;
const SPEEDS = [1, 4];
const ENGINES = ['sync', 'direct'];
const BUDGETS = { first: 150, cached: 16, cold: 60, render: 4, page: 40 };
/** Milliseconds after which a message is on the page, and what comes after the paint too. */
const DRAWN = 150;
/** Threads of so many messages: the direct engine reads them whole. */
const LENGTH = 400;

/**
 * Waits in the page until rows of another thread than `before` are there; gives the milliseconds until they were in the
 * document and until they were painted. `act`: the address of a link to follow first. Runs in the page.
 */
function painted([before, act]) {
  return new Promise(done => {
    const from = act ? performance.now() : 0;
    if (act) document.querySelector(`.thread-item a[href="${act}"]`).click();
    const look = () => {
      const row = document.querySelector('.row[data-row]');
      if (!row || row.dataset.row.startsWith(before)) return setTimeout(look, 1);
      const there = performance.now() - from;
      requestAnimationFrame(() => {
        // The first task after a frame: what was to be painted is.
        const { port1, port2 } = new MessageChannel();
        port1.onmessage = () => done([there, performance.now() - from]);
        port2.postMessage(0);
      });
    };
    look();
  });
}

/** As `painted`, for copies of the rows that are there, put into the document as ready HTML. Runs in the page. */
function repainted() {
  return new Promise(done => {
    const rows = [...document.querySelectorAll('.row[data-row]')];
    const list = rows[0].parentElement;
    const html = rows.map(row => row.outerHTML).join('');
    const box = list.cloneNode(false);
    const from = performance.now();
    box.innerHTML = html;
    list.parentElement.append(box);
    const there = performance.now() - from;
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        done([there, performance.now() - from]);
        box.remove();
      };
      port2.postMessage(0);
    });
  });
}

/** A page of the bundled app at a speed. */
async function open(browser, engine, speed) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  if (engine === 'direct') await context.addInitScript(flagOff);
  const page = await context.newPage();
  const session = await context.newCDPSession(page);
  await session.send('Performance.enable');
  if (speed > 1) await session.send('Emulation.setCPUThrottlingRate', { rate: speed });
  return { page, session, context };
}

/** Rows in the document are what the client is responsible for; a frame more and they are painted, as the control is. */
const both = (times, budget, control, what) => {
  const [there, shown] = [0, 1].map(at => times.map(time => time[at]));
  return `${against(there, budget)}, painted ${beside(
    shown,
    control.map(time => time[1]),
    what,
  )}`;
};

const missed = (values, budget) =>
  quantile(values, 0.95) < budget ? '' : ` (budget ${budget} missed at p95)`;

const against = (values, budget) => spread(values) + missed(values, budget);

/** Values, and how many times those of the control they are, each by its median. */
const beside = (values, control, what) => {
  const times = (quantile(values, 0.5) / quantile(control, 0.5)).toFixed(1);
  return `${spread(values)}, ${times} × ${what} (${spread(control)})`;
};

/**
 * Notes when the first of these elements are there and when they are painted, and says so when it is over: to ask earlier
 * would take the page's time. Runs in the page, before its own script.
 */
function noteRows(selector) {
  const seen = new MutationObserver(() => {
    if (!document.querySelector(selector)) return;
    seen.disconnect();
    const there = performance.now();
    requestAnimationFrame(() => {
      const { port1, port2 } = new MessageChannel();
      port1.onmessage = () => {
        window.__rows = [there, performance.now()];
        console.log('rows are painted');
      };
      port2.postMessage(0);
    });
  });
  seen.observe(document, { childList: true, subtree: true });
}

/** From the navigation to an empty document of the same server, in a browser that has nothing of it. */
async function bareNavigation(browser, server, speed) {
  const { page, context } = await open(browser, 'sync', speed);
  await context.addInitScript(noteRows, 'body');
  const painted = page.waitForEvent('console', message => message.text() === 'rows are painted');
  await page.goto(`${server.url}/livez`, { waitUntil: 'commit' });
  await painted;
  const rows = await page.evaluate(() => window.__rows);
  await context.close();
  return rows;
}

/** From the navigation, in a browser that has nothing of the page; and from the first line of the page's script. */
async function firstRows(browser, server, ids, engine, speed) {
  const times = { navigation: [], script: [], bare: [] };
  for (let time = 0; time < TIMES; time += 1) {
    const { page, context } = await open(browser, engine, speed);
    times.bare.push(await bareNavigation(browser, server, speed));
    await context.addInitScript(noteRows, '.row[data-row]');
    const painted = page.waitForEvent('console', message => message.text() === 'rows are painted');
    await page.goto(`${server.url}/t/${ids[0]}`, { waitUntil: 'commit' });
    await painted;
    const [rows, begun, kept] = await page.evaluate(() => [
      window.__rows,
      performance.getEntriesByName('threadmill.start')[0].startTime,
      document.querySelectorAll('.row').length,
    ]);
    must(kept > 2, `${kept} rows on the page`);
    times.navigation.push(rows);
    times.script.push(rows.map(at => at - begun));
    await context.close();
  }
  return times;
}

/** Every thread once, and all of them once more. */
async function switches(browser, server, ids, engine, speed) {
  const { page, context } = await open(browser, engine, speed);
  await page.goto(`${server.url}/t/${ids[0]}`);
  await page.waitForSelector('.row[data-row]');
  const visit = async (from, to) => {
    await page.waitForSelector(`.thread-item a[href="/t/${to}"]`);
    return page.evaluate(painted, [`${from}-`, `/t/${to}`]);
  };
  const cold = [];
  const cached = [];
  const ready = [];
  for (let at = 1; at < ids.length; at += 1) cold.push(await visit(ids[at - 1], ids[at]));
  for (let at = ids.length - 1; at > 0; at -= 1) {
    cached.push(await visit(ids[at], ids[at - 1]));
    ready.push(await page.evaluate(repainted));
  }
  await context.close();
  return { cold, cached, ready };
}

/**
 * Milliseconds of script, style and layout that a message costs which comes while the page shows its thread, and that a
 * copy of its row costs.
 */
async function renders(browser, server, engine, speed) {
  const threadId = await server.thread('local', 'Renders');
  const { page, session, context } = await open(browser, engine, speed);
  await page.goto(`${server.url}/t/${threadId}`);
  await page.waitForSelector('.row[data-row]');
  const cost = async () => {
    const { ScriptDuration, LayoutDuration, RecalcStyleDuration } = await measured(session);
    return (ScriptDuration + LayoutDuration + RecalcStyleDuration) * 1_000;
  };
  const [costs, copies] = [[], []];
  for (let at = 0; at < MESSAGES; at += 1) {
    const before = await cost();
    const { message } = await server.append(threadId, unknownText(40, 2, at + 1), 'local');
    let after;
    // Whoever looks for the row meanwhile adds script to what is measured: it is looked for when it should be there, and
    // after the reading. The direct engine has it when it has polled.
    await until('the message', async () => {
      await page.waitForTimeout(DRAWN);
      after = await cost();
      return (await page.locator(`.row[data-row="${message.id}"]`).count()) > 0;
    });
    costs.push(after - before);
    await page.evaluate(repeat, message.id);
    await page.waitForTimeout(DRAWN);
    copies.push((await cost()) - after);
    await page.evaluate(() => document.querySelector('#copy').remove());
  }
  await context.close();
  return { costs, copies };
}

/** Puts a copy of a row where it stands, as ready HTML. Runs in the page. */
function repeat(id) {
  const row = document.querySelector(`.row[data-row="${id}"]`);
  const box = row.parentElement.cloneNode(false);
  box.id = 'copy';
  box.innerHTML = row.outerHTML;
  row.parentElement.parentElement.append(box);
}

/** Milliseconds until a window of 25 is fetched, and as many paragraphs are in the document. Runs in the page. */
async function barePage([id, texts]) {
  const from = performance.now();
  const query = 'anchor=depth:200&before=25';
  const answer = await fetch(`/v1/threads/${id}/messages?${query}`, {
    headers: { accept: 'application/cbor' },
  });
  await answer.arrayBuffer();
  await new Promise(done => requestAnimationFrame(done));
  const box = document.createElement('div');
  for (const text of texts) box.append(Object.assign(document.createElement('p'), { textContent: text }));
  document.body.prepend(box);
  const took = performance.now() - from;
  box.remove();
  return took;
}

/** A page of 25 older messages: from the call to the rows in the document. */
async function pages(browser, server, id, speed) {
  const context = await equip(await browser.newContext());
  const page = await openTab(context, server.url, { storage: 'memory' });
  const session = await context.newCDPSession(page);
  if (speed > 1) await session.send('Emulation.setCPUThrottlingRate', { rate: speed });
  await bars(page, 'show', id, 'drawn');
  await until('the thread', async () => (await bars(page, 'state', id)).rows.length > 0);
  const texts = (await bars(page, 'state', id)).rows.slice(0, 25).map(({ text }) => text);
  const [times, bare] = [[], []];
  for (let at = 0; at < Math.min(14, TIMES * 4); at += 1) {
    times.push((await bars(page, 'older', id)).ms);
    bare.push(await page.evaluate(barePage, [id, texts]));
  }
  await context.close();
  return { times, bare };
}

async function atSpeed(browser, server, ids, speed) {
  const compare = async measure => {
    const lines = [];
    for (const engine of ENGINES) lines.push(`${engine} ${await measure(engine)}`);
    return lines.join('; ');
  };
  const pace = `CPU ${speed === 1 ? 'at full speed' : `slowed ${speed} times`}`;
  await check(`times: first 50 messages on screen, ${pace}`, () =>
    compare(async engine => {
      const { navigation, script, bare } = await firstRows(browser, server, ids, engine, speed);
      const all = both(navigation, BUDGETS.first, bare, 'an empty page');
      return `${all}, of which the page's script ${against(
        script.map(([there]) => there),
        BUDGETS.first,
      )}`;
    }),
  );
  await check(`times: switch of thread, ${pace}`, () =>
    compare(async engine => {
      const { cold, cached, ready } = await switches(browser, server, ids, engine, speed);
      const what = 'the rows as ready HTML';
      return `cached ${both(cached, BUDGETS.cached, ready, what)}, cold ${both(cold, BUDGETS.cold, ready, what)}`;
    }),
  );
  await check(`times: script, style and layout of one message, ${pace}`, () =>
    compare(async engine => {
      const { costs, copies } = await renders(browser, server, engine, speed);
      return beside(costs, copies, 'a copy of the row') + missed(costs, BUDGETS.render);
    }),
  );
  await check(`times: page of 25 into the document, ${pace}`, async () => {
    const { times, bare } = await pages(browser, server, ids[0], speed);
    return beside(times, bare, 'a fetch, a frame and 25 paragraphs') + missed(times, BUDGETS.page);
  });
}

export async function timesBar() {
  const data = await place('times');
  const server = await Server.start({ data, args: ['--no-sample'] });
  const ids = Array.from({ length: FULL ? 12 : 6 }, (_, at) => `times-${at}`);
  for (const [at, id] of ids.entries()) {
    await server.imported(id, `Times ${at}`, LENGTH, depth => unknownText(10 + (depth % 60), 2, depth + 1));
  }
  const browser = await launch();
  for (const speed of SPEEDS) await atSpeed(browser, server, ids, speed);
  await browser.close();
  await server.end();
  await forget(data);
}
