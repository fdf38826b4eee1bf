//! Bar: what a tab holds is bounded, however far its reader scrolls and however many threads are opened.

import { check, must, until } from '../checks.mjs';
import { bars, equip, launch, openTab } from './browser.mjs';
import { forget, place, run, Server } from './server.mjs';
import { rise } from './stats.mjs';

const FULL = process.env.THREADMILL_FULL === '1';
const LENGTH = FULL ? 1_000_000 : 10_000;
const SCROLL = FULL ? 100_000 : 3_000;
const PAGE = 25;
/** Looks at the heap on the way. */
const LOOKS = 20;
/** How much of the way is warming up, and how much the heap may rise over the rest. */
const WARM = 0.2;
const RISE = 0.02;
/**
 * Code that is compiled again is on the heap too and grows for minutes without being held by anybody: of 28 KB between
 * 20,000 and 100,000 messages, heap snapshots found 26 KB to be code. So the gate is taken without the compilers of hot
 * code; with them the rise is a report.
 */
const UNCOMPILED = ['--js-flags=--no-opt --no-maglev --no-sparkplug'];
const THREAD_BUDGET = 1 << 20;

/** Bytes in use after everything that can go has gone. */
async function heap(session) {
  await session.send('HeapProfiler.collectGarbage');
  return (await session.send('Runtime.getHeapUsage')).usedSize;
}

/** `code` says what the heap holds besides data, and whether its rise is a gate. */
async function scrollCheck(server, threadId, code) {
  await check(`memory: scroll up ${SCROLL} of ${LENGTH} messages, hot code ${code}`, async () => {
    const browser = await launch(code === 'interpreted' ? { args: UNCOMPILED } : {});
    const context = await equip(await browser.newContext());
    const page = await openTab(context, server.url, { storage: 'memory' });
    const session = await context.newCDPSession(page);
    await bars(page, 'show', threadId, 'drawn');
    await until('the thread', async () => (await bars(page, 'state', threadId)).status === 'ready');
    const points = [];
    const most = { wasm: 0, held: 0, rows: 0 };
    const pages = Math.ceil(SCROLL / PAGE);
    for (let look = 1; look <= LOOKS; look += 1) {
      const target = Math.round((pages * look) / LOOKS) - Math.round((pages * (look - 1)) / LOOKS);
      must((await bars(page, 'climb', threadId, target)) === target, 'the thread is too short');
      const { bytesHeld, threadsHeld, wasmBytes } = await page.evaluate(() => window.__bars.client.metrics());
      points.push([look / LOOKS, await heap(session)]);
      most.held = Math.max(most.held, bytesHeld / threadsHeld);
      most.wasm = Math.max(most.wasm, wasmBytes);
      most.rows = Math.max(most.rows, await page.evaluate(() => document.querySelectorAll('p').length));
      if (look / LOOKS === WARM) most.wasmWarm = wasmBytes;
    }
    const slope = rise(points.filter(([at]) => at >= WARM));
    const mib = bytes => `${(bytes / 2 ** 20).toFixed(2)} MiB`;
    const numbers = `heap ${mib(points.at(-1)[1])}, ${(slope * 100).toFixed(2)} % rise over the last 80 %; wasm ${mib(most.wasm)}; ${mib(most.held)} a thread; ${most.rows} rows in the document at most`;
    const { faults, rows } = await bars(page, 'state', threadId);
    must(faults.length === 0, faults.join(', '));
    must(rows[0].depth <= LENGTH - SCROLL, `it went up to depth ${rows[0].depth} alone`);
    must(code === 'compiled' || slope <= RISE, `the heap grows: ${numbers}`);
    must(most.wasm <= most.wasmWarm * (1 + RISE), `the core's memory grows: ${numbers}`);
    must(most.held < THREAD_BUDGET, numbers);
    await browser.close();
    return numbers;
  });
}

const BUDGET = 4 << 20;
const THREADS = 20;
/** Messages of each thread and their letters: three pages of it are over a twentieth of the budget. */
const [MESSAGES, LETTERS] = [120, 8_000];

/** Opens a thread, goes up two pages and leaves it again. Gives the bytes held while it is shown. */
async function visit(page, id) {
  await bars(page, 'show', id, 'unseen');
  await until('the thread', async () => (await bars(page, 'state', id)).source === 'live');
  await until('its rows', async () => (await bars(page, 'state', id)).rows.length > 0);
  await bars(page, 'climb', id, 2);
  const metrics = await page.evaluate(() => window.__bars.client.metrics());
  await bars(page, 'hide', id);
  // A view is at rest a second after it was left.
  await page.waitForTimeout(1_050);
  return metrics;
}

async function budgetCheck(browser, server) {
  await check(`memory: ${THREADS} threads in turn under ${BUDGET >> 20} MiB`, async () => {
    const text = (thread, depth) => `${thread}.${depth} ${'word '.repeat(LETTERS / 5)}`;
    const ids = Array.from({ length: THREADS }, (_, at) => `budget-${at}`);
    for (const [at, id] of ids.entries()) {
      await server.imported(id, `Budget ${at}`, MESSAGES, depth => text(at, depth), 'budget');
    }
    const context = await equip(await browser.newContext());
    const options = { user: 'budget', storage: 'memory', maxBytes: BUDGET };
    const page = await openTab(context, server.url, options);
    const all = [];
    for (const id of ids) all.push(await visit(page, id));
    const total = all.reduce((sum, { bytesHeld, threadsHeld }) => sum + bytesHeld / threadsHeld, 0);
    const most = Math.max(...all.map(({ bytesHeld }) => bytesHeld));
    const { threadsHeld } = all.at(-1);
    const numbers = `${(most / 2 ** 20).toFixed(2)} MiB held at most, ${threadsHeld} threads at the end, all would be ${(total / 2 ** 20).toFixed(1)} MiB`;
    must(total > BUDGET * 1.2, `they would all fit: ${numbers}`);
    must(most <= BUDGET, numbers);
    must(threadsHeld < THREADS, `none was given up: ${numbers}`);
    await bars(page, 'show', ids[0], 'unseen');
    const again = await until('the first again', async () => {
      const state = await bars(page, 'state', ids[0]);
      return state.rows.length > 0 && state.source === 'live' ? state : undefined;
    });
    const last = again.rows.at(-1);
    must(
      last.depth === MESSAGES - 1 && last.text === text(0, last.depth),
      'the first came back other than it was',
    );
    await context.close();
    return numbers;
  });
}

export async function memoryBar() {
  const data = await place('memory');
  const id = 'memory';
  await run('bench', 'seed', '--data', `${data}/store`, '--messages', String(LENGTH), '--id', id);
  const server = await Server.start({ data, args: ['--no-sample'] });
  await scrollCheck(server, id, 'interpreted');
  if (FULL) await scrollCheck(server, id, 'compiled');
  const browser = await launch();
  await budgetCheck(browser, server);
  await browser.close();
  await server.end();
  await forget(data);
}
