//! Bar: the two engines side by side on the same threads, as the report of a rollout has it. A rollout gives half the readers
//! the sync engine; all of them open the same long threads, change between them, scroll up and watch an answer being written.
//! What their pages report is what `threadmill rollout report` then says of either side. Memory is a gate, since bytes are
//! the same on every machine; times and renders are reports.

import { asUser } from '../as-user.mjs';
import { check, must, until } from '../checks.mjs';
import { rowsShown, sendText } from '../page.mjs';
import { launch } from './browser.mjs';
import { forget, place, run, Server } from './server.mjs';

const FULL = process.env.THREADMILL_FULL === '1';
const FLAG = 'scalable-sync';
/** Readers of either side. */
const READERS = FULL ? 6 : 1;
const THREADS = 3;
const LENGTH = 1_200;
/** Switches and turns of the wheel of each visit. */
const SWITCHES = FULL ? 9 : 4;
const TURNS = FULL ? 30 : 10;
/** Milliseconds from a page's start until it listens to itself. */
const REPORTS = 11_500;
/** The sync engine holds at most so much of what the direct one does. */
const MEMORY = 0.2;

const text = (thread, depth) =>
  `${thread}.${depth} ${'some words of an answer that is no longer than most are '.repeat(8)}`;

/** So many readers of either side, as the flag places them. */
async function readers(server) {
  const sides = { with: [], without: [] };
  for (let n = 0; sides.with.length < READERS || sides.without.length < READERS; n += 1) {
    must(n < 200, 'the flag places everybody on one side');
    const user = `reader-${n}`;
    const { flags } = await server.api('GET', '/flags', undefined, user);
    const side = flags[FLAG] ? sides.with : sides.without;
    if (side.length < READERS) side.push(user);
  }
  return sides;
}

async function visit(browser, server, user, engine) {
  const way = await asUser(server.url, user);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', error => complaints.push(error.message));
  const id = at => `${user}-${at % THREADS}`;
  await page.goto(`${way.url}/t/${id(0)}`);
  await rowsShown(page);
  await page.waitForTimeout(REPORTS);
  for (let at = 1; at <= SWITCHES; at += 1) {
    await page.click(`.thread-list [data-thread="${id(at)}"] a`);
    await rowsShown(page);
    await page.waitForTimeout(400);
  }
  await page.mouse.move(800, 400);
  for (let turn = 0; turn < TURNS; turn += 1) {
    await page.mouse.wheel(0, -600);
    await page.waitForTimeout(80);
  }
  await page.click(`.thread-list [data-thread="${id(0)}"] a`);
  await rowsShown(page);
  await sendText(
    page,
    'Say something that nobody has an answer to, so that all of this comes back word by word.',
  );
  await page.waitForSelector('.row-assistant[data-last]:not([data-status="streaming"])', { timeout: 60_000 });
  await page.waitForTimeout(700);
  await page.goto('about:blank');
  const told = await until(
    'the report',
    () => way.reports.findLast(({ samples }) => samples.length > 0),
    5_000,
  );
  must(told.engine === engine, `${user} ran the ${told.engine} engine`);
  must(complaints.length === 0, complaints.join());
  await context.close();
  way.close();
}

const quantity = (value, unit) =>
  unit === 'bytes'
    ? `${(value / 1_024).toFixed(0)} KiB`
    : unit === 'ms'
      ? `${value.toFixed(0)} ms`
      : value.toFixed(1);

/** Lines of the report that have two sides, and what else is said of each. */
const LINES = ['memory', 'renders-checklist', 'load', 'switch', 'scroll'];

export async function enginesBar() {
  const data = await place('engines');
  const server = await Server.start({
    data,
    args: ['--no-sample', '--ops-write'],
    config: '[ops]\nrum = "page"\n',
  });
  const reason = ['--who', 'bars', '--why', 'two engines side by side', '--url', server.url];
  let lines = [];
  await check(`engines: ${READERS} readers of either side open threads of ${LENGTH} messages`, async () => {
    await run('rollout', 'start', FLAG, '--stages', '50%:24h', ...reason);
    const sides = await until('both sides', () => readers(server).catch(() => undefined), 20_000);
    const browser = await launch();
    for (let n = 0; n < READERS; n += 1) {
      // In turn, so that what the machine does else is on either side alike.
      for (const [side, engine] of [
        ['without', 'direct'],
        ['with', 'core'],
      ]) {
        const user = sides[side][n];
        for (let at = 0; at < THREADS; at += 1) {
          await server.imported(`${user}-${at}`, `Thread ${at}`, LENGTH, depth => text(at, depth), user);
        }
        await visit(browser, server, user, engine);
      }
    }
    await browser.close();
    lines = await until(
      'the report to have all of it',
      async () => {
        const { stdout } = await run('rollout', 'report', FLAG, '--week1', '--json', '--url', server.url);
        const found = LINES.map(name => JSON.parse(stdout).lines.find(({ id }) => id === name));
        return found.every(({ value, old }) => value !== null && old !== null) && found;
      },
      30_000,
    );
    return `${lines[0].source}`;
  });
  for (const { id, what, value, old, unit } of lines) {
    await check(`engines: ${id}`, () => {
      const less = (1 - value / old) * 100;
      const change = `${Math.abs(less).toFixed(0)} % ${less < 0 ? 'more' : 'less'}`;
      const words = `${quantity(value, unit)} with the sync engine, ${quantity(old, unit)} with the direct one: ${change} (${what})`;
      must(id !== 'memory' || value <= old * MEMORY, words);
      return words;
    });
  }
  await server.end();
  await forget(data);
}
