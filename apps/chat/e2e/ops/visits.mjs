//! Analytics against visits that are scripted: twelve readers, each once with the prefetcher and once without, do what is
//! known beforehand; one more does the same and does not want to be tracked. What the node says of them afterwards has to be
//! exactly that.

import { asUser } from '../as-user.mjs';
import { forget, place, run, Server } from '../bars/server.mjs';
import { check, must, until } from '../checks.mjs';
import { openPage, rowsShown } from '../page.mjs';

const READERS = 12;
/** Pages open at once. */
const AT_ONCE = 3;
/** Longer than the prefetcher waits, and than it takes to see what is in view. */
const DWELL = 1_600;
/** Messages of the long thread, and of the others. */
const [LONG, SHORT] = [120, 3];
const ANSWERS = 3;
/** Looks at threads of a visit. */
const LOOKS = 5;
/** Milliseconds that a request takes: without a network in between nobody would gain by fetching ahead. */
const DELAY = 80;
/** Buckets of switches that are faster than one request. */
const FASTER = 4;

const reader = n => `reader-${String(n).padStart(2, '0')}`;

/** Five threads, the newest first in the list; the fourth of it is the long one. */
async function threads(server, user) {
  const ids = [];
  for (const at of [4, 3, 2, 1, 0]) {
    const says = depth => `${at}.${depth} Some words.`;
    const id =
      at === 3
        ? await server.imported(`${user}-long`, 'Thread 3', LONG - SHORT + 1, says, user)
        : await server.thread(user, `Thread ${at}`, says(0));
    for (let n = 1; n < SHORT; n += 1) await server.append(id, says(n), user);
    ids[at] = id;
  }
  return ids;
}

/** Scrolls up until the first message is there. */
async function climb(page) {
  await page.mouse.move(800, 400);
  await until('the first message', async () => {
    await page.mouse.wheel(0, -3_000);
    await page.waitForTimeout(60);
    return page.evaluate(
      () => document.querySelector('.row[data-depth="0"]')?.getBoundingClientRect().top > 0,
    );
  });
}

const open = (page, id) => page.click(`.thread-list [data-thread="${id}"] a`);

/** One visit. Says how many pages of older messages the page asked for. */
async function visit(browser, server, { user, ids }, { arm, untracked = false }) {
  const way = await asUser(server.url, user, DELAY);
  const context = await browser.newContext({ viewport: { width: 1280, height: 800 } });
  // An empty page at the end has no storage.
  await context.addInitScript(arm => {
    if (location.protocol === 'http:') localStorage.setItem('threadmill.arm', arm);
  }, arm);
  if (untracked)
    await context.addInitScript(() =>
      Object.defineProperty(navigator, 'globalPrivacyControl', { value: true }),
    );
  const page = await context.newPage();
  const complaints = [];
  page.on('pageerror', error => complaints.push(error.message));
  const id = at => ids[at];
  let older = 0;
  page.on('request', asked => {
    const url = new URL(asked.url());
    const isOlder = url.searchParams.get('anchor')?.startsWith('depth');
    if (url.pathname.endsWith(`/${encodeURIComponent(id(3))}/messages`) && isOlder) older += 1;
  });
  await page.goto(`${way.url}/t/${id(0)}`);
  // The rows of the thread before are there a moment longer.
  const dwell = async at => {
    await rowsShown(page);
    await page.waitForFunction(
      at => document.querySelector('.row[data-row]')?.textContent.includes(`${at}.`),
      at,
    );
    await page.waitForTimeout(DWELL);
  };
  // The list comes after the thread; what is next in it is fetched then.
  await page.waitForSelector(`.thread-list [data-thread="${id(1)}"]`);
  await dwell(0);
  // The next in the list, back to the one before, one that is searched for, and another.
  await open(page, id(1));
  await dwell(1);
  await open(page, id(0));
  await dwell(0);
  await page.keyboard.press('Control+k');
  await page.fill('.switcher input', 'Thread 3');
  await page.keyboard.press('Enter');
  await page.waitForURL(`**/t/${id(3)}`);
  await dwell(3);
  await climb(page);
  await page.waitForTimeout(DWELL);
  await open(page, id(1));
  await dwell(1);
  await page.goto('about:blank');
  must(complaints.length === 0, complaints.join());
  const used = () => way.reports.filter(report => report.use);
  // The last words of a page come after it.
  if (untracked) await page.waitForTimeout(500);
  else {
    const looks = () => used().reduce((sum, { use }) => sum + (use.counts.reach?.[9] ?? 0), 0);
    await until('reports of all looks', () => looks() >= LOOKS);
  }
  await context.close();
  way.close();
  return { older, reports: used() };
}

/** Bucket ends of pages, as the page has them. */
const pagesBucket = n => [0, 1, 2, 3, 5, 10, 20].findIndex(end => n <= end);
const lettersBucket = n => {
  const at = [100, 250, 500, 1_000, 2_000, 4_000, 8_000, 16_000].findIndex(end => n <= end);
  return at < 0 ? 8 : at;
};

async function answers(server, { user, ids }, expected) {
  for (let n = 0; n < ANSWERS; n += 1) {
    const text = `What is ${'very '.repeat(30 * n)}long?`;
    const message = { role: 'user', parts: [{ type: 'text', text }], run: { provider: 'fast' } };
    const { run: started } = await server.api('POST', `/threads/${ids[4]}/messages`, message, user);
    must(started, 'no run was started');
    const tip = await until('the answer', async () => {
      const { messages } = await server.tip(ids[4], user);
      const last = messages.at(-1);
      return last.role === 'assistant' && last.status === 'complete' ? last : undefined;
    });
    const letters = [...(await server.text(ids[4], tip.id, user))].length;
    expected[lettersBucket(letters)] += 1;
  }
}

const zeros = n => Array(n).fill(0);

export async function visitChecks(browser, screens) {
  const data = await place('visits');
  const server = await Server.start({ data, args: ['--no-sample'], config: '[analytics]\nenabled = true\n' });
  const users = [];
  let somebody;
  const ops = async (path = 'analytics?days=2') => (await fetch(`${server.url}/ops/api/${path}`)).json();
  let visits = 0;
  const expected = {
    visits: [0],
    reach: zeros(10),
    back: zeros(8),
    pages: zeros(8),
    switches: zeros(4),
    prefetch: zeros(3),
    answers: zeros(9),
  };
  const count = (arm, { older }) => {
    visits += 1;
    expected.visits[0] += 1;
    // Five looks at threads: the short ones are seen whole.
    expected.reach[9] += LOOKS;
    expected.back[0] += 4;
    expected.back[4] += 1;
    expected.pages[0] += 4;
    expected.pages[pagesBucket(older)] += 1;
    for (const way of [0, 1, 2, 3]) expected.switches[way] += 1;
    // The next in the list was fetched ahead, what was searched for was not; three were fetched in all.
    if (arm !== '0') for (const [at, n] of [1, 1, 3].entries()) expected.prefetch[at] += n;
  };
  await check('analytics: nine readers are not shown', async () => {
    for (let n = 0; n < READERS; n += 1) {
      users.push({ user: reader(n), ids: await threads(server, reader(n)) });
    }
    somebody = { user: 'untracked', ids: await threads(server, 'untracked') };
    for (let at = 0; at < 9; at += AT_ONCE) {
      const some = users.slice(at, at + AT_ONCE);
      const done = await Promise.all(some.map(user => visit(browser, server, user, { arm: '5' })));
      for (const one of done) {
        must(one.reports.length > 0, 'a visit was not reported');
        const said = JSON.stringify(one.reports);
        must(!/reader|Thread|words/.test(said), `a report says more than numbers: ${said}`);
        count('5', one);
      }
    }
    const { groups, hiddenGroups } = await ops();
    must(groups.length === 0 && hiddenGroups === 1, JSON.stringify({ groups, hiddenGroups }));
  });
  await check('analytics: what the node says is what twelve readers did', async () => {
    const rest = [...users.slice(9).map(user => [user, '5']), ...users.map(user => [user, '0'])];
    for (let at = 0; at < rest.length; at += AT_ONCE) {
      const some = rest.slice(at, at + AT_ONCE);
      const done = await Promise.all(some.map(([user, arm]) => visit(browser, server, user, { arm })));
      for (const [place, one] of done.entries()) count(some[place][1], one);
    }
    const untracked = await visit(browser, server, somebody, { arm: '5', untracked: true });
    must(untracked.reports.length === 0, 'who is not to be tracked was reported');
    await answers(server, users[0], expected.answers);
    const { sums, groups, leastVisitors } = await ops();
    must(leastVisitors === 10 && groups.length === 1, JSON.stringify(groups));
    must(groups[0].visitors === READERS, `${groups[0].visitors} visitors`);
    for (const [name, row] of Object.entries(expected)) {
      must(String(sums[name]) === String(row), `${name}: ${sums[name]} and not ${row}`);
    }
    const switches = name => sums[name].reduce((a, b) => a + b);
    must(switches('switchWith') === 2 * READERS, `with: ${sums.switchWith}`);
    must(switches('switchWithout') === 2 * READERS, `without: ${sums.switchWithout}`);
    const [fetched, used] = sums.prefetchBytes;
    must(used > 0 && used < fetched, `bytes: ${fetched} fetched, ${used} used`);
    const fast = name => sums[name].slice(0, FASTER).reduce((a, b) => a + b);
    // Faster than a request is none that needs one; how many are, of the half that was fetched, is the machine's.
    must(fast('switchWithout') === 0, `without the prefetcher: ${sums.switchWithout}`);
    must(fast('switchWith') > 0, `with the prefetcher: ${sums.switchWith}`);
    return `${visits} visits of ${READERS} readers; of ${2 * READERS} switches ${fast('switchWith')} under 75 ms with the prefetcher, ${fast('switchWithout')} without, where a request takes ${DELAY}; ${fetched} bytes fetched ahead, ${used} used`;
  });
  await check('analytics: the export and the page say the same, and a restart loses nothing', async () => {
    await server.end();
    await server.again();
    const { stdout } = await run('analytics', 'export', '--url', server.url, '--days', '2');
    const lines = stdout
      .trim()
      .split('\n')
      .map(line => line.split(','));
    const row = name => lines.filter(([, , , measure]) => measure === name).map(line => Number(line[5]));
    for (const [name, values] of Object.entries(expected)) {
      must(String(row(name)) === String(values), `${name}: ${row(name)} and not ${values}`);
    }
    const json = JSON.parse(
      (await run('analytics', 'export', '--url', server.url, '--format', 'json')).stdout,
    );
    must(String(json.sums.visits) === String(expected.visits), 'the two exports differ');
    for (const [name, options] of [
      ['wide', { viewport: { width: 1280, height: 800 } }],
      ['narrow', { viewport: { width: 320, height: 640 }, colorScheme: 'dark' }],
    ]) {
      const page = await openPage(browser, '/ops#/analytics', { base: server.url, ...options });
      const fact = page.locator('dt:has-text("Pages opened") + dd');
      must((await fact.textContent()) === String(visits), `the page says ${await fact.textContent()}`);
      const room = await page.evaluate(() => document.documentElement.scrollWidth - innerWidth);
      must(room <= 0, `${name}: the page is ${room} pixels wider than the window`);
      if (screens) await page.screenshot({ path: `${screens}/ops-analytics-${name}.png`, fullPage: true });
      must(page.complaints.length === 0, page.complaints.join());
      await page.context().close();
    }
  });
  await server.end();
  await forget(data);
}
