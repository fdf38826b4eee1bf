//! The row being read must not move by itself: wheel up through a long thread, watching it in every frame.

import { api } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openPage, rows, rowsShown } from './page.mjs';

/** Milliseconds that a row is watched after the wheel. */
const HOLD_MS = process.env.THREADMILL_FULL === '1' ? 500 : 250;
const TICKS = 3;
const TICK = 240;
const MOST_ROWS = 100;

/** Samples one row's top in every frame until told to stop. Runs in the page. */
function startSampling(id) {
  const samples = [];
  let on = true;
  const step = () => {
    const row = document.querySelector(`.row[data-row="${CSS.escape(id)}"]`);
    samples.push({ at: performance.now(), top: row ? row.getBoundingClientRect().top : null });
    if (on) requestAnimationFrame(step);
  };
  requestAnimationFrame(step);
  window.__stopSampling = () => {
    on = false;
    return {
      samples,
      offset: document.querySelector('.scroller').scrollTop,
      rows: document.querySelectorAll('.row').length,
    };
  };
}

/** A row to watch: one with code that starts in view, else any that does, else the long one that fills the view. */
async function readingRow(page) {
  const all = await rows(page);
  const inView = all.filter(row => row.top >= 60 && row.top < 640);
  return inView.find(row => row.code) ?? inView[0] ?? all.find(row => row.bottom > 100) ?? all[0];
}

/** One burst of the wheel, and what the row being read did meanwhile and afterwards. */
async function burst(page) {
  const row = await readingRow(page);
  await page.evaluate(startSampling, row.id);
  for (let tick = 0; tick < TICKS; tick += 1) await page.mouse.wheel(0, -TICK);
  const wheeled = await page.evaluate(() => performance.now());
  await page.waitForTimeout(HOLD_MS + 250);
  const { samples, offset, rows: mounted } = await page.evaluate(() => window.__stopSampling());
  const seen = samples.filter(sample => sample.top !== null);
  const tops = seen.map(sample => sample.top);
  const last = tops[tops.length - 1] ?? row.top;
  const held = seen.filter(sample => sample.at > wheeled + 250).map(sample => sample.top);
  const rest = held.length > 0 ? Math.max(...held) - Math.min(...held) : 0;
  // Wheeling up, a row only goes down: any step back is a jump the reader sees.
  const back = tops.reduce((most, top, i) => Math.max(most, i > 0 ? (tops[i - 1] ?? top) - top : 0), 0);
  const beyond = Math.max(...tops) - (row.top + TICKS * TICK);
  const short = offset <= 0 ? 0 : row.top + TICKS * TICK - last;
  const lost = samples.length - seen.length;
  return { row, rest, back, beyond, short, mounted, lost, tops: samples.map(sample => sample.top) };
}

/** Wheels up `count` messages of `threadId`; `what` says what kind of messages they are. */
export async function scrollChecks(browser, threadId, count, what) {
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await page.mouse.move(700, 400);
  const worst = { rest: 0, back: 0, beyond: 0, short: 0, mounted: 0, bursts: 0, lost: '', code: 0 };
  await check(`scroll up ${count} messages, ${what}: the row being read stays`, async () => {
    const from = (await readingRow(page)).depth;
    await until(
      `${count} messages to pass`,
      async () => {
        const seen = await burst(page);
        worst.bursts += 1;
        if (seen.lost > 0)
          worst.lost = `${seen.lost} frames of a burst, row at depth ${seen.row.depth}: ${JSON.stringify(seen.tops)}`;
        if (seen.row.code) worst.code += 1;
        for (const key of ['rest', 'back', 'beyond', 'short', 'mounted']) {
          worst[key] = Math.max(worst[key], seen[key]);
        }
        return from - seen.row.depth >= count || seen.row.depth === 0;
      },
      600_000,
    );
    const drift = Math.max(worst.rest, worst.back, worst.beyond);
    const numbers = `drift ${drift.toFixed(2)} px (at rest ${worst.rest.toFixed(2)}, back ${worst.back.toFixed(2)}, beyond ${worst.beyond.toFixed(2)}), wheel lost ${worst.short.toFixed(1)} px at most, ${worst.bursts} bursts, ${worst.code} on rows with code`;
    must(drift <= 1, numbers);
    must(what !== 'code' || worst.code > 0, 'none of the rows read had code');
    must(worst.lost === '', `the row left the page for ${worst.lost}`);
    return numbers;
  });
  await check('rows on the page are bounded', async () => {
    must(worst.mounted <= MOST_ROWS, `${worst.mounted} rows`);
    return `${worst.mounted} at most`;
  });
  await check('jump to latest', async () => {
    await page.click('.jump');
    await until('the end', () =>
      page.evaluate(() => {
        const list = document.querySelector('.scroller');
        return (
          document.querySelector('.row[data-last]') !== null &&
          list.scrollHeight - list.clientHeight - list.scrollTop < 2
        );
      }),
    );
  });
  await check('no complaint from the page', async () => {
    must(page.complaints.length === 0, page.complaints.join(' | '));
  });
  await page.context().close();
}

/** An address that names a message opens there, however deep; one that names none says so. */
export async function jumpChecks(browser, threadId) {
  const { total } = await api('GET', `/threads/${threadId}/messages?anchor=tip&before=1`);
  const deep = await api(
    'GET',
    `/threads/${threadId}/messages?anchor=depth:${Math.floor(total / 3)}&before=1`,
  );
  const target = deep.messages.at(-1).id;
  await check('an address with a message opens at it', async () => {
    const page = await openPage(browser, `/t/${threadId}?m=${target}`);
    const box = await until('the message to be in view', async () => {
      const found = (await rows(page)).find(row => row.id === target);
      return found && found.top >= 0 && found.top < 700 ? found : undefined;
    });
    await page.context().close();
    return `depth ${box.depth} of ${total}`;
  });
}
