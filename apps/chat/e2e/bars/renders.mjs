//! Bar: what an answer costs in renders, and whether its text moves meanwhile: the same answer, the same page, both
//! engines at the same time.

import { unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { launch } from './browser.mjs';
import { flagOff, slowFrames } from './probe.mjs';
import { forget, place, Server } from './server.mjs';

const TOKENS = 600;
/** Pictures of the text a second, at least. */
const FPS = 15;
const SLOW = process.env.BARS_FAULT === 'five frames a second';

/** Notes in every frame how much of the last answer is written. Runs in the page. */
function watchText() {
  const noted = [];
  window.__noted = noted;
  const step = () => {
    const bodies = document.querySelectorAll('.row-assistant[data-status="streaming"] .body');
    const length = bodies[bodies.length - 1]?.textContent.length ?? 0;
    if (length > 0) noted.push([performance.now(), length]);
    setTimeout(step, 4);
  };
  step();
}

/** The bundled page on a thread, with one engine. */
async function open(browser, server, threadId, engine) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  if (engine === 'direct') await context.addInitScript(flagOff);
  if (SLOW) await context.addInitScript(slowFrames);
  const page = await context.newPage();
  await page.goto(`${server.url}/t/${threadId}`);
  await page.waitForSelector('.row[data-row]');
  await page.evaluate(watchText);
  return page;
}

const counters = page => page.evaluate(() => structuredClone(window.__threadmillCounters));

/** Asks, waits for the end, and counts. */
async function stream(page, text) {
  await page.fill('.composer textarea', text);
  await page.press('.composer textarea', 'Enter');
  const id = await until('an answer', () =>
    page.evaluate(() => document.querySelector('.row-assistant[data-status="streaming"]')?.dataset.row),
  );
  await until('its first words', () => page.evaluate(() => window.__noted.length > 0));
  const before = await counters(page);
  await page.waitForSelector(`.row[data-row="${id}"][data-status="complete"]`, { timeout: 120_000 });
  const after = await counters(page);
  const noted = await page.evaluate(() => window.__noted);
  return {
    list: after.listRenders - before.listRenders,
    row: after.rowRenders[id] ?? 0,
    fps: pictures(noted),
  };
}

/** How often a second the text was another one: overall, and in the second it moved least. */
function pictures(noted) {
  const moves = noted.filter(([, length], at) => at > 0 && length !== noted[at - 1][1]).map(([time]) => time);
  const [first, last] = [moves[0], moves.at(-1)];
  const seconds = Array.from({ length: Math.floor((last - first) / 1_000) }, (_, second) => {
    const from = first + second * 1_000;
    return moves.filter(time => time >= from && time < from + 1_000).length;
  });
  return { mean: ((moves.length - 1) / (last - first)) * 1_000, least: Math.min(...seconds) };
}

export async function rendersBar() {
  const data = await place('renders');
  const server = await Server.start({ data, args: ['--no-sample'] });
  const browser = await launch();
  await check(`renders: ${TOKENS} tokens, both engines`, async () => {
    const text = unknownText(TOKENS, 10, 11);
    const run = async engine => {
      const threadId = await server.thread('local', engine);
      return stream(await open(browser, server, threadId, engine), text);
    };
    const [sync, direct] = await Promise.all([run('sync'), run('direct')]);
    const say = ({ list, row, fps }) =>
      `list ${list}, row ${row}, ${fps.mean.toFixed(1)} pictures/s (least ${fps.least})`;
    const numbers = `sync: ${say(sync)}; direct: ${say(direct)}`;
    must(direct.list >= 5, `the other engine renders as little, so the counters prove nothing: ${numbers}`);
    must(sync.list <= 2 && sync.row <= 10, numbers);
    must(sync.fps.mean >= FPS, `the text stands still: ${numbers}`);
    return numbers;
  });
  await browser.close();
  await server.end();
  await forget(data);
}
