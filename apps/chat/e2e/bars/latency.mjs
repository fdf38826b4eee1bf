//! Bar: how long a frame takes from the leader's socket to a follower's store, beside half a round trip of a bare channel
//! between the same pages in the same run. A report: what a browser and its machine do with five tabs differs, so times
//! gate nothing, and that frames came and pages agree does.

import { unknownText } from '../api.mjs';
import { check, must } from '../checks.mjs';
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

/** Runs something in a family and takes the times of its frames, and of the control meanwhile, in milliseconds. */
async function timed(family, act) {
  const leader = await family.leader();
  const others = family.pages.filter(page => page !== leader);
  await Promise.all(others.map((page, at) => page.evaluate(at => window.__frames.echo(at), at)));
  await Promise.all(family.pages.map(take));
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
    const lead = quantile(
      control[at].map(([, lead]) => lead),
      0.5,
    );
    for (const [name, heard] of (await take(page)).heard) {
      if (received.has(name)) times.push(heard - lead - received.get(name));
    }
  }
  return { times, halves: control.flat().map(([half]) => half) };
}

const numbersOf = ({ times, halves }) => {
  const [frame, half] = [times, halves].map(all => quantile(all, 0.95));
  const ratio = frame / half;
  const missed = ratio <= BUDGET ? '' : ` (budget ${BUDGET} missed)`;
  return `${ratio.toFixed(1)} × the control${missed}: ${times.length} frames ${spread(times, [50, 95, 99])}, ${halves.length} halves of a bare round trip ${spread(halves, [50, 95, 99])}`;
};

export async function latencyChecks(browser, server) {
  const context = await equip(await browser.newContext(), watchFrames);
  await check('tabs: from the leader to an idle follower', async () => {
    const family = await Family.of(context, server, TABS, { user: 'idle', drawing: 'unseen' });
    const taken = await timed(family, async () => {
      for (let count = 0; count < MESSAGES; count += 1) {
        await server.append(family.threadId, unknownText(20, 1, count + 1), 'idle');
        await new Promise(done => setTimeout(done, PACE));
      }
    });
    must(taken.times.length >= MESSAGES * (TABS - 1) * 0.9, `too few frames: ${numbersOf(taken)}`);
    return numbersOf(taken);
  });
  await context.close();
  const busy = await equip(await browser.newContext(), watchFrames);
  await check('tabs: from the leader to a follower while all draw 100 tokens a second', async () => {
    const family = await Family.of(busy, server, TABS, { user: 'busy' });
    let answer;
    const taken = await timed(family, async () => {
      answer = await family.ask(family.pages[0], unknownText(FULL ? 3_000 : 300, 10, 71));
      await family.ended(answer);
    });
    await family.agree(answer);
    must(taken.times.length >= (TABS - 1) * 20, `too few frames: ${numbersOf(taken)}`);
    return numbersOf(taken);
  });
  await busy.close();
}
