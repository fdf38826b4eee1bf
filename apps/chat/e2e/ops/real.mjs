//! The operators' page at a running server: what `docs/operations.md` promises is what the page finds. A server without the
//! page, or whose ops API wants a token, has this said and nothing checked.

import { api, threadWith } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { BASE, openPage } from '../page.mjs';

/** Sections whose route every node has. */
const SECTIONS = ['threads', 'runs', 'connections', 'locks', 'hot', 'nodes', 'analytics', 'errors', 'audit'];

const go = (page, place) =>
  page.evaluate(hash => {
    location.hash = hash;
  }, `#/${place}`);

/** Waits until the section has its answer; what it says if that is none. */
async function answered(page) {
  await page.waitForFunction(() => !document.querySelector('#main')?.textContent?.includes('Asking …'));
  const why = await page.$('#main .why');
  return why ? why.textContent() : '';
}

export async function realChecks(browser) {
  const [page, summary] = await Promise.all(
    ['/ops', '/ops/api/summary'].map(path => fetch(BASE + path).catch(() => undefined)),
  );
  if (page?.status !== 200 || summary?.status !== 200) {
    console.log(`skip  ops: ${BASE} has /ops: ${page?.status}, /ops/api/summary: ${summary?.status}`);
    return;
  }
  await check('ops: the page of a running node says how it goes, and draws what it measured', async () => {
    const page = await openPage(browser, '/ops');
    await page.waitForSelector('.verdict:not([data-verdict="unknown"])');
    const { verdict, node } = await summary.json();
    must((await page.textContent('.node-line')).includes(node.version), 'it does not say its version');
    await page.waitForSelector('.graph canvas', { timeout: 40_000 });
    const graphs = (await page.$$('.graph canvas')).length;
    must(page.complaints.length === 0, page.complaints.join());
    await page.context().close();
    return `${verdict}, ${graphs} graphs`;
  });
  await check('ops: every section of a running node has its answer', async () => {
    const page = await openPage(browser, '/ops');
    const wrong = [];
    for (const section of SECTIONS) {
      await go(page, section);
      await page.waitForSelector(`.ops-menu [aria-current][href="#/${section}"]`);
      const why = await answered(page);
      if (why !== '') wrong.push(`${section}: ${why}`);
    }
    must(wrong.length === 0, wrong.join('\n'));
    await page.context().close();
  });
  await check('ops: a thread is found, and its run is a bar to its end', async () => {
    const secret = `Nobody has to read this ${Date.now()}`;
    const id = await threadWith(secret, 'Ops');
    const question = { role: 'user', parts: [{ type: 'text', text: 'Hello.' }], run: true };
    await api('POST', `/threads/${id}/messages`, question);
    const page = await openPage(browser, `/ops#/threads/default/${id}`);
    must((await answered(page)) === '', 'the thread is not there');
    await page.waitForSelector('[aria-label="Newest messages"]');
    must(!(await page.content()).includes(secret), 'a text is shown unasked');
    await page.click('button:has-text("Show texts")');
    await page.waitForSelector(`pre:has-text("${secret}")`);
    await go(page, 'audit');
    await until('the look to be audited', async () => (await page.textContent('#main')).includes(id));
    await go(page, 'runs');
    await page.waitForSelector(`.run a[title="${id}"]`, { timeout: 20_000 });
    await api('DELETE', `/threads/${id}`);
    await page.context().close();
  });
}
