//! Bar: how long a frame takes from the leader's socket to a follower's store, beside half a round trip of a bare channel
//! between the same pages in the same run. A report: what a browser and its machine do with five tabs differs, so times
//! gate nothing, and that frames came and pages agree does.

import { unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { equip } from './browser.mjs';
import { Family } from './family.mjs';
import { watchFrames } from './probe.mjs';
import { quantile, spread } from './stats.mjs';

const TABS = 5;
const FULL = process.env.THREADMILL_FULL === '1';
/** How often the control's time a frame's may be, each by the 95th of a hundred. */
const BUDGET = 4;
/** Bytes of the frames the budget is for. */
const LIMIT = 4_096;
const MESSAGES = FULL ? 600 : 100;
/** Milliseconds between messages to idle tabs. */
const PACE = 25;
/** Bytes of the control's messages, as many as a usual frame has, and milliseconds between them. */
const CONTROL = { bytes: 256, pace: 17 };

const take = page => page.evaluate(() => window.__frames.take());

/** Runs something while pages share a connection and takes the times of frames, and of the control, in milliseconds. */
async function timed(pages, leader, act) {
  const others = pages.filter(page => page !== leader);
  await Promise.all(others.map((page, at) => page.evaluate(at => window.__frames.echo(at), at)));
  await Promise.all(pages.map(take));
  await leader.evaluate(
    ([count, { bytes, pace }]) => window.__frames.begin([...Array(count).keys()], bytes, pace),
    [others.length, CONTROL],
  );
  await act();
  const control = await leader.evaluate(() => window.__frames.end());
  const { posted } = await take(leader);
  const received = new Map(posted.filter(([, , bytes]) => bytes <= LIMIT));
  const times = [];
  for (const [at, page] of others.entries()) {
    // Clocks of pages that began at different times differ by parts of a millisecond.
    const leads = control.filter(([name]) => name === at).map(([, , lead]) => lead);
    const lead = quantile(leads, 0.5);
    for (const [name, heard] of (await take(page)).heard) {
      if (received.has(name)) times.push(heard - lead - received.get(name));
    }
  }
  return { times, halves: control.map(([, half]) => half) };
}

/** Text with all that the page draws in its own way, which the provider says back. */
function markdown(tokens) {
  const block = at =>
    `## ${unknownText(3, 1, at)}\n\n${unknownText(30, 1, at + 1)}\n\n- ${unknownText(8, 1, at + 2)}\n- **${unknownText(3, 1, at + 3)}**\n\n\`\`\`js\nconst ${unknownText(1, 1, at + 4)} = 1;\n\`\`\``;
  return Array.from({ length: tokens / 50 }, (_, at) => block(5 * at + 1)).join('\n\n');
}

/** Tabs of the bundled page on a thread. */
async function openPages(context, server, threadId) {
  const pages = [];
  while (pages.length < TABS) {
    const page = await context.newPage();
    await page.goto(`${server.url}/t/${threadId}`);
    await page.waitForSelector('.row[data-row]');
    await page.waitForSelector('.connection[data-state="live"]', { state: 'attached' });
    pages.push(page);
  }
  return pages;
}

/** The page that has a frame of the server's for the others. */
async function leaderOf(pages, server, threadId) {
  await server.append(threadId, 'Who leads?', 'local');
  return until('a frame', async () => {
    for (const page of pages) if ((await take(page)).posted.length > 0) return page;
  });
}

const numbersOf = ({ times, halves }) => {
  const frame = quantile(times, 0.95);
  const ratio = frame / quantile(halves, 0.95);
  const missed = ratio <= BUDGET ? '' : ` (budget ${BUDGET} missed)`;
  const ofMedian = (frame / quantile(halves, 0.5)).toFixed(1);
  return `${ratio.toFixed(1)} × the control${missed}, ${ofMedian} × its median: ${times.length} frames ${spread(times, [50, 95, 99])}, ${halves.length} halves of a bare round trip ${spread(halves, [50, 95, 99])}`;
};

/** A frame for each message that another device appends; nothing is drawn. */
async function idle(browser, server) {
  const context = await equip(await browser.newContext(), watchFrames);
  const family = await Family.of(context, server, TABS, { user: 'idle', drawing: 'unseen' });
  const taken = await timed(family.pages, await family.leader(), async () => {
    for (let count = 0; count < MESSAGES; count += 1) {
      await server.append(family.threadId, unknownText(20, 1, count + 1), 'idle');
      await new Promise(done => setTimeout(done, PACE));
    }
  });
  await context.close();
  must(taken.times.length >= MESSAGES * (TABS - 1) * 0.9, `too few frames: ${numbersOf(taken)}`);
  return numbersOf(taken);
}

/** An answer of 100 tokens a second, which each tab writes into its document as plain text. */
async function writing(browser, server) {
  const context = await equip(await browser.newContext(), watchFrames);
  const family = await Family.of(context, server, TABS, { user: 'busy' });
  let answer;
  const taken = await timed(family.pages, await family.leader(), async () => {
    answer = await family.ask(family.pages[0], unknownText(FULL ? 3_000 : 300, 10, 71));
    await family.ended(answer);
  });
  await family.agree(answer);
  await context.close();
  must(taken.times.length >= (TABS - 1) * 20, `too few frames: ${numbersOf(taken)}`);
  return numbersOf(taken);
}

/** The same in the bundled page, which draws Markdown. */
async function drawing(browser, server) {
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  await context.addInitScript(watchFrames);
  const threadId = await server.thread('local', 'Drawing');
  const pages = await openPages(context, server, threadId);
  let texts;
  const taken = await timed(pages, await leaderOf(pages, server, threadId), async () => {
    await server.api('POST', `/threads/${threadId}/messages`, {
      role: 'user',
      parts: [{ type: 'text', text: markdown(FULL ? 3_000 : 300) }],
      run: { provider: 'replay' },
    });
    const text = page =>
      page
        .waitForSelector('.row-assistant[data-status="complete"] .body', { timeout: 120_000 })
        .then(body => body.evaluate(body => body.textContent));
    texts = await Promise.all(pages.map(text));
  });
  await context.close();
  must(new Set(texts).size === 1, 'the tabs do not show the same');
  must(taken.times.length >= (TABS - 1) * 20, `too few frames: ${numbersOf(taken)}`);
  return numbersOf(taken);
}

export async function latencyChecks(browser, server) {
  for (const [what, act] of [
    ['an idle follower', idle],
    ['a follower while all draw 100 tokens a second', writing],
    ['a follower while the bundled page draws Markdown in all', drawing],
  ]) {
    await check(`tabs: from the leader to ${what}`, () => act(browser, server));
  }
}
