//! Bar: how long a reader waits, in the bundled page with either engine, at full speed and at a quarter of it. Reports:
//! a budget that is missed is said, and fails nothing.

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

/** Rows in the document are what the client is responsible for; a frame more and they are painted. */
const both = (times, budget) => {
  const [there, shown] = [0, 1].map(at => times.map(time => time[at]));
  return `${against(there, budget)}, painted ${spread(shown)}`;
};

const against = (values, budget) =>
  `${spread(values)}${quantile(values, 0.95) < budget ? '' : ` (budget ${budget} missed at p95)`}`;

/**
 * Notes when the first rows are there and when they are painted, and says so when it is over: whoever asked earlier
 * would take the page's time. Runs in the page, before its own script.
 */
function noteRows() {
  const seen = new MutationObserver(() => {
    if (!document.querySelector('.row[data-row]')) return;
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

/** From the navigation, in a browser that has nothing of the page; and from the first line of the page's script. */
async function firstRows(browser, server, ids, engine, speed) {
  const times = { navigation: [], script: [] };
  for (let time = 0; time < TIMES; time += 1) {
    const { page, context } = await open(browser, engine, speed);
    await context.addInitScript(noteRows);
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
  for (let at = 1; at < ids.length; at += 1) cold.push(await visit(ids[at - 1], ids[at]));
  for (let at = ids.length - 1; at > 0; at -= 1) cached.push(await visit(ids[at], ids[at - 1]));
  await context.close();
  return { cold, cached };
}

/** Milliseconds of script, style and layout that a message costs which comes while the page shows its thread. */
async function renders(browser, server, engine, speed) {
  const threadId = await server.thread('local', 'Renders');
  const { page, session, context } = await open(browser, engine, speed);
  await page.goto(`${server.url}/t/${threadId}`);
  await page.waitForSelector('.row[data-row]');
  const cost = async () => {
    const { ScriptDuration, LayoutDuration, RecalcStyleDuration } = await measured(session);
    return (ScriptDuration + LayoutDuration + RecalcStyleDuration) * 1_000;
  };
  const costs = [];
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
  }
  await context.close();
  return costs;
}

/** A page of 25 older messages: from the call to the rows in the document. */
async function pages(browser, server, id, speed) {
  const context = await equip(await browser.newContext());
  const page = await openTab(context, server.url, { storage: 'memory' });
  const session = await context.newCDPSession(page);
  if (speed > 1) await session.send('Emulation.setCPUThrottlingRate', { rate: speed });
  await bars(page, 'show', id, 'drawn');
  await until('the thread', async () => (await bars(page, 'state', id)).rows.length > 0);
  const times = [];
  for (let at = 0; at < Math.min(14, TIMES * 4); at += 1) times.push((await bars(page, 'older', id)).ms);
  await context.close();
  return times;
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
      const { navigation, script } = await firstRows(browser, server, ids, engine, speed);
      return `${both(navigation, BUDGETS.first)}, of which the page's script ${both(script, BUDGETS.first)}`;
    }),
  );
  await check(`times: switch of thread, ${pace}`, () =>
    compare(async engine => {
      const { cold, cached } = await switches(browser, server, ids, engine, speed);
      return `cached ${both(cached, BUDGETS.cached)}, cold ${both(cold, BUDGETS.cold)}`;
    }),
  );
  await check(`times: script, style and layout of one message, ${pace}`, () =>
    compare(async engine => against(await renders(browser, server, engine, speed), BUDGETS.render)),
  );
  await check(`times: page of 25 into the document, ${pace}`, async () =>
    against(await pages(browser, server, ids[0], speed), BUDGETS.page),
  );
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
