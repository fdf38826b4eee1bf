//! Bar: how long a frame takes from the leader's socket to a follower's store.

import { unknownText } from '../api.mjs';
import { check, must } from '../checks.mjs';
import { equip } from './browser.mjs';
import { Family } from './family.mjs';
import { watchFrames } from './probe.mjs';
import { quantile, spread } from './stats.mjs';

const TABS = 5;
const FULL = process.env.THREADMILL_FULL === '1';
const BUDGET = 5;
/** Bytes of the frames the budget is for. */
const LIMIT = 4_096;
const MESSAGES = FULL ? 600 : 100;
/** Milliseconds between messages to idle tabs. */
const PACE = 25;

/** Milliseconds that each frame took to each follower. */
async function taken(family) {
  const notes = await Promise.all(family.pages.map(page => page.evaluate(() => window.__frames.take())));
  const received = new Map();
  for (const [name, at, bytes] of notes.flatMap(({ posted }) => posted)) {
    if (bytes <= LIMIT) received.set(name, at);
  }
  return notes
    .flatMap(({ heard }) => heard)
    .filter(([name]) => received.has(name))
    .map(([name, at]) => at - received.get(name));
}

export async function latencyChecks(browser, server) {
  const context = await equip(await browser.newContext(), watchFrames);
  await check('tabs: from the leader to an idle follower', async () => {
    const family = await Family.of(context, server, TABS, { user: 'idle', drawing: 'unseen' });
    await taken(family);
    for (let count = 0; count < MESSAGES; count += 1) {
      await server.append(family.threadId, unknownText(20, 1, count + 1), 'idle');
      await new Promise(done => setTimeout(done, PACE));
    }
    const times = await taken(family);
    const numbers = `${times.length} frames: ${spread(times, [50, 95, 99])}, from ${Math.min(...times).toFixed(1)} to ${Math.max(...times).toFixed(1)}`;
    must(times.length >= MESSAGES * (TABS - 1) * 0.9, `too few frames: ${numbers}`);
    must(!FULL || quantile(times, 0.95) < BUDGET, numbers);
    return numbers;
  });
  await context.close();
  const busy = await equip(await browser.newContext(), watchFrames);
  await check('tabs: from the leader to a follower while all draw 100 tokens a second', async () => {
    const family = await Family.of(busy, server, TABS, { user: 'busy' });
    await taken(family);
    const answer = await family.ask(family.pages[0], unknownText(FULL ? 3_000 : 300, 10, 71));
    await family.ended(answer);
    const times = await taken(family);
    await family.agree(answer);
    return `${times.length} frames: ${spread(times, [50, 95, 99])}`;
  });
  await busy.close();
}
