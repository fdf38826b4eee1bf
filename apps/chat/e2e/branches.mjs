//! Versions of a message: an edit and another answer make branches, and the switcher reaches every one of them.

import { api, textOf, threadWith } from './api.mjs';
import { check, must, until } from './checks.mjs';
import { openPage, rows, rowsShown, sendText } from './page.mjs';

const row = (page, id) => page.locator(`.row[data-row="${id}"]`);

async function idle(page) {
  await until(
    'the answer to end',
    async () => {
      const all = await rows(page);
      return (
        all.length > 0 &&
        all.every(row => row.status !== 'streaming') &&
        (await page.$('[aria-label="Send"]'))
      );
    },
    60_000,
  );
}

/** Edit, answer again, and back. */
export async function editChecks(browser) {
  const threadId = await threadWith('Hello there.', 'Branches');
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await check('send, and the answer arrives', async () => {
    await sendText(page, 'What is artificial intelligence?');
    await until('an answer', async () => (await rows(page)).some(row => row.role === 'assistant'));
    await idle(page);
  });
  await check('edit: a new version with an answer of its own', async () => {
    const asked = (await rows(page)).filter(row => row.role === 'user').at(-1);
    await page.focus('.composer textarea');
    await page.keyboard.press('ArrowUp');
    await page.fill('.edit-box textarea', 'Tell me a joke');
    await page.keyboard.press('Enter');
    await until('the edited text', async () =>
      (await page.locator('.row-user').last().innerText()).includes('Tell me a joke'),
    );
    const last = async () => (await rows(page)).filter(row => row.role === 'user').at(-1);
    await until('a new message', async () => (await last()).id !== asked.id);
    await idle(page);
    const now = await last();
    await until('the switcher', () => row(page, now.id).locator('.versions').count());
    must((await row(page, now.id).locator('.versions-count').innerText()) === '2/2', 'not the second of two');
  });
  await check('switch versions: back and forth', async () => {
    const last = page.locator('.row-user').last();
    await last.locator('[aria-label="Previous version"]').click();
    await until('the first version', async () =>
      (await page.locator('.row-user').last().innerText()).includes('What is artificial intelligence?'),
    );
    await page.locator('.row-user').last().locator('[aria-label="Next version"]').click();
    await until('the second version', async () =>
      (await page.locator('.row-user').last().innerText()).includes('Tell me a joke'),
    );
  });
  await check('answer again: another version of the answer', async () => {
    const answer = (await rows(page)).filter(row => row.role === 'assistant').at(-1);
    await row(page, answer.id).locator('[aria-label="Answer again"]').click();
    await until('another answer', async () => {
      const now = (await rows(page)).filter(row => row.role === 'assistant').at(-1);
      return now && now.id !== answer.id;
    });
    await idle(page);
    const now = (await rows(page)).filter(row => row.role === 'assistant').at(-1);
    await until('the switcher', () => row(page, now.id).locator('.versions').count());
  });
  await check('no complaint from the page', async () => {
    must(page.complaints.length === 0, page.complaints.join(' | '));
  });
  await page.context().close();
  return threadId;
}

/** Deleting a message that has other versions shows one of them: nobody is left on a line with no way back. */
export async function deleteChecks(browser, threadId) {
  const page = await openPage(browser, `/t/${threadId}`);
  await rowsShown(page);
  await check('delete a message', async () => {
    const answer = (await rows(page)).filter(row => row.role === 'assistant').at(-1);
    await row(page, answer.id).hover();
    await row(page, answer.id).locator('[aria-label="Delete message"]').click();
    await page.click('.dialog[open] .danger');
    await until('the message to go', async () => {
      const found = (await rows(page)).find(row => row.id === answer.id);
      return !found || found.status === 'removed';
    });
    await until('another version', async () => (await rows(page)).some(row => row.role === 'assistant'));
  });
  await page.context().close();
  await api('DELETE', `/threads/${threadId}`);
}

/** Every branch the server has of a thread. */
async function branchesOf(threadId) {
  const all = [];
  for (let skip = 0; skip !== undefined && skip !== null; ) {
    const page = await api('GET', `/threads/${threadId}/branches?skip=${skip}&limit=100`);
    all.push(...page.branches);
    skip = page.next;
  }
  return all;
}

/** The text at the tip of each branch. */
async function tips(threadId) {
  const found = new Map();
  for (const branch of await branchesOf(threadId)) {
    const { messages } = await api('GET', `/threads/${threadId}/messages?branch=${branch.id}&before=1`);
    const last = messages.at(-1);
    if (last) found.set(last.id, textOf(last));
  }
  return found;
}

/** Walks the tree by the switchers alone, depth first, and collects the last message of every line it reaches. */
async function walk(page, reached) {
  const state = () =>
    page.$$eval('.row[data-row]', all =>
      all.map(row => ({
        id: row.dataset.row,
        count: row.querySelector('.versions-count')?.textContent ?? '',
      })),
    );
  const visit = async from => {
    const now = await state();
    reached.add(now.at(-1)?.id);
    for (let at = now.length - 1; at >= from; at -= 1) {
      const [index, total] = (now[at]?.count ?? '').split('/').map(Number);
      if (index !== 1 || !(total > 1)) continue;
      for (let version = 2; version <= total; version += 1) {
        await step(at, 'Next version', `${version}/${total}`);
        await visit(at + 1);
        await rewind(at, `${version}/${total}`);
      }
      for (let version = total; version > 1; version -= 1) {
        await step(at, 'Previous version', `${version - 1}/${total}`);
      }
    }
  };
  const step = async (at, name, count) => {
    const id = (await state())[at]?.id;
    await page.locator(`.row[data-row="${id}"] [aria-label="${name}"]`).click();
    await until(`${count} at ${at}`, async () => (await state())[at]?.count === count);
  };
  const rewind = async (at, count) => {
    must((await state())[at]?.count === count, `lost the place at ${at}`);
  };
  const first = await state();
  for (let at = 0; at < first.length; at += 1) {
    for (;;) {
      const index = Number(((await state())[at]?.count ?? '1/1').split('/')[0]);
      if (!(index > 1)) break;
      await step(at, 'Previous version', `${index - 1}/${((await state())[at]?.count ?? '').split('/')[1]}`);
    }
  }
  await visit(0);
}

/** Every branch of each thread is reachable with the switcher alone. For threads that fit one window. */
export async function reachChecks(browser, threadIds) {
  await check(`every branch of ${threadIds.length} threads is reachable with the switcher`, async () => {
    let branches = 0;
    for (const threadId of threadIds) {
      const page = await openPage(browser, `/t/${threadId}`, { viewport: { width: 1280, height: 4_000 } });
      await rowsShown(page);
      const wanted = await tips(threadId);
      const reached = new Set();
      await walk(page, reached).catch(error => {
        throw new Error(`in ${threadId}: ${error.message}`);
      });
      await page.context().close();
      const missing = [...wanted.keys()].filter(id => !reached.has(id));
      must(missing.length === 0, `${missing.length} of ${wanted.size} not reached in ${threadId}`);
      branches += wanted.size;
    }
    must(branches > 1, 'there is no forked thread');
    return `${branches} branches`;
  });
}
