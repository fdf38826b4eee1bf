//! Bar: one connection for all tabs of a browser, whatever happens to the tab that owns it.

import { unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { bars, equip, launch } from './browser.mjs';
import { Family } from './family.mjs';
import { latencyChecks } from './latency.mjs';
import { loseMessages } from './probe.mjs';
import { forget, freePort, place, Server } from './server.mjs';

const TABS = 5;
const FULL = process.env.THREADMILL_FULL === '1';
/** Tokens of an answer that something happens to: 2.5 s, and 10 s at full size. */
const TOKENS = FULL ? 1_000 : 250;
/** A name that is not the loopback interface's. */
const NAME = 'threadmill.test';
/** A hidden leader waits three seconds before it hands over. */
const HIDDEN_TOKENS = TOKENS + 400;

/** What can happen to a leader in the middle of an answer. `stays`: its tab is still there to be compared. */
const EVENTS = [
  { name: 'closed', act: page => page.close() },
  {
    name: 'crashed',
    act: async page => {
      const session = await page.context().newCDPSession(page);
      const crashed = page.waitForEvent('crash');
      session.send('Page.crash').catch(() => {});
      await crashed;
    },
  },
  {
    name: 'hidden for three seconds, then shown',
    stays: true,
    tokens: HIDDEN_TOKENS,
    act: async (page, family) => {
      await bars(page, 'pretend', 'hidden');
      // A hidden page publishes nothing, its own role neither: the others are asked.
      const others = family.pages.filter(other => other !== page);
      await until('another tab to lead', async () => {
        const roles = await Promise.all(others.map(other => bars(other, 'status')));
        return roles.some(({ role }) => role === 'leader');
      });
      await bars(page, 'pretend', 'visible');
    },
  },
  { name: 'reloaded', act: page => page.reload() },
];

async function handOver(browser, server, { name, act, stays = false, tokens = TOKENS }, seed) {
  await check(`tabs: the leader is ${name} in mid-answer`, async () => {
    const context = await equip(await browser.newContext());
    try {
      const user = `tabs-${seed}`;
      const family = await Family.of(context, server, TABS, { user });
      const steady = await server.connections(user);
      must(steady === 1, `${steady} connections in steady state`);
      const leader = await family.leader();
      const [other] = family.pages.filter(page => page !== leader);
      const stop = family.watch();
      const answer = await family.ask(other, unknownText(tokens, 5, seed));
      if (!stays) family.leave(leader);
      await act(leader, family);
      await family.ended(answer);
      await family.settle();
      const { most, looks } = await stop();
      const { letters, silence } = await family.agree(answer);
      const { leader: leaders } = await family.roles();
      const now = await server.connections(user);
      const numbers = `${letters} letters in ${family.pages.length} tabs, at most ${most} connections in ${looks} looks, ${silence}`;
      must(most <= 1, numbers);
      must(now === 1 && leaders.length === 1, `${now} connections, ${leaders.length} leaders: ${numbers}`);
      return numbers;
    } finally {
      await context.close();
    }
  });
}

/** What is lost between tabs is noticed, and mended by the server. */
async function lossy(browser, server, seed) {
  await check('tabs: messages between them are lost', async () => {
    const context = await equip(await browser.newContext(), loseMessages);
    const family = await Family.of(context, server, 3, { user: `tabs-${seed}` });
    const answer = await family.ask(family.pages[0], unknownText(TOKENS, 5, seed));
    await family.ended(answer);
    const lost = await Promise.all(family.pages.map(page => page.evaluate(() => window.__lost)));
    const all = lost.reduce((sum, count) => sum + count, 0);
    must(all >= 3, `${all} messages were lost alone`);
    const { letters, silence } = await family.agree(answer);
    await context.close();
    return `${all} lost, ${letters} letters, ${silence}`;
  });
}

/** Away by a link and back: the browser keeps the page as it was, if nothing it holds forbids that. */
async function backForward(server, seed) {
  const browser = await launch({ ignoreDefaultArgs: ['--disable-back-forward-cache'] });
  await check('tabs: the leader goes to another page in mid-answer and comes back', async () => {
    const context = await equip(await browser.newContext());
    const user = `tabs-${seed}`;
    const family = new Family(context, server, { user, drawing: 'unseen' });
    family.threadId = await server.thread(user, 'Back and forward');
    // Documents that must not be stored are never kept for going back; the icon is one that may be.
    for (let tab = 0; tab < 3; tab += 1) await family.join('/favicon.svg');
    await family.settle();
    const leader = await family.leader();
    await leader.evaluate(() => {
      addEventListener('pageshow', event => {
        window.__persisted = event.persisted;
      });
    });
    const stop = family.watch();
    const answer = await family.ask(leader, unknownText(TOKENS, 5, seed));
    family.leave(leader);
    await leader.goto(`${server.url}/favicon.svg?elsewhere`);
    await family.settle();
    // A page that was kept does not load again.
    await leader.goBack({ waitUntil: 'commit' });
    const kept = await until('the page', () => leader.evaluate(() => Boolean(window.__bars))).then(() =>
      leader.evaluate(() => window.__persisted === true),
    );
    if (kept) family.pages.push(leader);
    await family.ended(answer);
    await family.settle();
    const { most } = await stop();
    const { silence } = await family.agree(answer);
    const numbers = `page ${kept ? 'kept' : 'not kept'}, at most ${most} connections, ${silence}`;
    must(most <= 1 && (await server.connections(user)) === 1, numbers);
    must(kept, `the browser did not keep the page: ${JSON.stringify(await reasons(leader))}`);
    return numbers;
  });
  await browser.close();
}

/** Why the browser did not keep the page. */
function reasons(page) {
  return page.evaluate(() => performance.getEntriesByType('navigation')[0]?.notRestoredReasons?.toJSON());
}

/** On plain http at another name than localhost there are no locks: every tab is on its own, and right. */
async function plainHttp(seed) {
  const data = await place('plain');
  const port = await freePort();
  const server = await Server.start({ data, port, args: ['--no-sample', '--allow-host', `${NAME}:${port}`] });
  const browser = await launch({ args: [`--host-resolver-rules=MAP ${NAME} 127.0.0.1`] });
  await check('tabs: on a plain-http origin every tab is solo, and right', async () => {
    const context = await equip(await browser.newContext());
    const url = `http://${NAME}:${server.port}`;
    const user = `tabs-${seed}`;
    const family = await Family.of(context, server, 3, { user, url });
    const { solo } = await family.roles();
    const count = await server.connections(user);
    const answer = await family.ask(family.pages[1], unknownText(100, 3, seed));
    await family.ended(answer);
    const { letters } = await family.agree(answer);
    const numbers = `${solo.length} solo tabs, ${count} connections, ${letters} letters`;
    must(solo.length === 3 && count === 3, numbers);
    return numbers;
  });
  await browser.close();
  await server.end();
  await forget(data);
}

export async function tabsBar() {
  const data = await place('tabs');
  const server = await Server.start({ data, args: ['--no-sample'] });
  const browser = await launch();
  try {
    for (const [at, event] of EVENTS.entries()) await handOver(browser, server, event, 101 + at);
    await lossy(browser, server, 121);
    await latencyChecks(browser, server);
  } finally {
    await browser.close();
  }
  await backForward(server, 131);
  await server.end();
  await forget(data);
  await plainHttp(151);
}
