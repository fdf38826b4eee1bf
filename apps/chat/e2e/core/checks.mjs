//! The core of what the page does, in any browser and over any network: each check speaks through a driver's tabs.

import { api, message, textOf, threadWith, tip, unknownText } from '../api.mjs';
import { check, must, until } from '../checks.mjs';
import { answer, motion, order, rows, topOf } from './seen.mjs';

const composer = '.composer textarea';
const bare = text => text.replace(/[^\p{L}\p{N}]/gu, '');

async function rowsShown(tab) {
  await until('rows', async () => (await tab.evaluate(rows)).length > 0);
}

/** Sends, and waits for the answer to begin. */
async function send(tab, text) {
  const before = (await last(tab))?.id;
  await tab.fill(composer, text);
  await tab.press('Enter');
  await until('an answer', async () => {
    const row = await last(tab);
    return row !== undefined && row.id !== before;
  });
}

/** The last answer's row. */
async function last(tab) {
  return (await tab.evaluate(rows)).findLast(row => row.role === 'assistant');
}

async function ended(tab, status) {
  return until(
    `the answer to be ${status}`,
    async () => {
      const row = await last(tab);
      return row?.status === status ? row : undefined;
    },
    30_000,
  );
}

/** The answer is so many letters long, and still written. */
async function grown(tab, letters) {
  await until(`${letters} letters of the answer`, async () => (await tab.evaluate(answer)).length >= letters);
  must((await last(tab)).status === 'streaming', `the text came with the end of the answer`);
}

/** The answer goes on, seen in this tab, while it is written. */
async function goesOn(tab) {
  const from = (await tab.evaluate(answer)).length;
  await grown(tab, from + 20);
  await grown(tab, from + 60);
}

/** A thread whose answer follows a script of `model.mjs`, in a tab that was open before. */
async function scripted(tab, script) {
  const id = await threadWith('Before the script.', script);
  await tab.open(`/t/${id}`);
  await rowsShown(tab);
  const text = { role: 'user', parts: [{ type: 'text', text: script }] };
  await api('POST', `/threads/${id}/messages`, text);
  await api('POST', `/threads/${id}/runs`, { provider: 'scripted' });
  return id;
}

/** An answer is sent for, seen as it comes, seen on after reloads and in a second tab, and stopped. */
async function streamChecks(profile, base) {
  const id = await threadWith('Before the answer.', 'Core');
  let tab = await profile.tab(base);
  await check('an answer comes word by word', async () => {
    await tab.open(`/t/${id}`);
    await rowsShown(tab);
    await send(tab, unknownText(40, 2, 3));
    await grown(tab, 20);
    const changes = await tab.evaluate(motion, 30);
    await ended(tab, 'complete');
    const held = textOf(await message(id, (await last(tab)).id));
    must((await tab.evaluate(answer)) === bare(held), 'the page has other text than the server');
    must(changes >= 3, `the text changed ${changes} times in 30 frames`);
    return `${changes} changes in 30 frames`;
  });
  await check('reloads in the middle of an answer: it goes on to be seen', async () => {
    await send(tab, unknownText(500, 20, 5));
    await grown(tab, 60);
    for (let reloads = 0; reloads < 2; reloads += 1) {
      const before = await tab.evaluate(answer);
      await tab.reload();
      await rowsShown(tab);
      // A cache may not know of this answer yet, and shows the one before.
      await until('the text again', async () => (await tab.evaluate(answer)).startsWith(before.slice(0, 60)));
      await goesOn(tab);
    }
  });
  await check(
    'a second tab shows it, the first on return, and the second when the first is closed',
    async () => {
      const other = await profile.tab(base);
      await other.open(`/t/${id}`);
      await other.show();
      await rowsShown(other);
      await goesOn(other);
      await tab.show();
      await goesOn(tab);
      await tab.close();
      other.complaints.push(...tab.complaints);
      tab = other;
      await tab.show();
      await goesOn(tab);
    },
  );
  await check('another thread and back: the answer goes on', async () => {
    const elsewhere = await threadWith('Elsewhere.', 'Elsewhere');
    await until('the other thread in the list', () =>
      tab.evaluate(id => document.querySelector(`[data-thread="${id}"] a`) !== null, elsewhere),
    );
    await tab.click(`[data-thread="${elsewhere}"] a`);
    await until('the other thread', async () => (await tab.evaluate(rows))[0]?.text === 'Elsewhere.');
    await tab.click(`[data-thread="${id}"] a`);
    await until('the answer', () => last(tab));
    await goesOn(tab);
  });
  await check('stop: the answer ends and its text stays', async () => {
    await tab.press('Escape');
    const { id: answered } = await ended(tab, 'stopped');
    const held = await message(id, answered);
    must(held.status === 'stopped', `the server says ${held.status}`);
    await until('the text of the server', async () => (await tab.evaluate(answer)) === bare(textOf(held)));
  });
  await check('edit: a new version with an answer of its own', async () => {
    await tab.fill(composer, '');
    await tab.press('ArrowUp');
    await until('the editor', () =>
      tab.evaluate(() => document.querySelector('.edit-box textarea') !== null),
    );
    await tab.fill('.edit-box textarea', 'Tell me a joke');
    await tab.press('Enter');
    await ended(tab, 'complete');
    const versions = () => [...document.querySelectorAll('.versions-count')].map(at => at.textContent);
    await until('the switcher', async () => (await tab.evaluate(versions)).includes('2/2'));
    await tab.click('[aria-label="Previous version"]');
    await until('the version before', async () =>
      (await tab.evaluate(rows)).some(row => row.status === 'stopped'),
    );
  });
  await check('the thread is whole on the server, and nothing was complained of', async () => {
    const { messages } = await tip(id);
    must(
      messages.every(held => held.status !== 'streaming'),
      'something is still written',
    );
    must(tab.complaints.length === 0, tab.complaints.join(' | '));
  });
  await tab.close();
}

/** Parts have one order: while they come, after a reload in between, and as they are stored. */
async function orderChecks(profile, base) {
  const tab = await profile.tab(base);
  await check('thoughts, text, a tool and text: live in the order in which they are stored', async () => {
    const id = await scripted(tab, 'rate:40 thoughts:80 words:20 tool words:50');
    await until('thoughts', async () => (await tab.evaluate(order))[0] === 'thoughts');
    const read = () => document.querySelector('.row-assistant details')?.open;
    must(await tab.evaluate(read), 'thoughts cannot be read while they come');
    must((await tab.evaluate(motion, 30)) >= 2, 'thoughts do not move while they come');
    const seen = new Map();
    const look = async () => {
      const now = await tab.evaluate(order);
      seen.set(now.join(), now);
      return now;
    };
    await until('the tool', async () => (await look()).length >= 3);
    await tab.reload();
    await rowsShown(tab);
    await until('the text after the tool', async () => (await look()).length === 4);
    await until('the end', async () => {
      await look();
      return (await last(tab)).status === 'complete';
    });
    const stored = ['thoughts', 'text', 'weather', 'text'];
    for (const now of seen.values()) {
      must(
        now.every((kind, at) => kind === stored[at]),
        `${now.join(' ')} was seen`,
      );
    }
    await look();
    await tab.reload();
    await rowsShown(tab);
    await until('the stored order', async () => (await tab.evaluate(order)).join() === stored.join());
    const kinds = (await message(id, (await last(tab)).id)).parts.map(part => part.type);
    must(kinds.join() === 'reasoning,text,dynamic-tool,text', `stored as ${kinds.join()}`);
    return `${seen.size} orders seen, each a beginning of the last`;
  });
  await tab.close();
}

/** Selects from one word to another of the last answer. Runs in the page. */
function select([from, to]) {
  const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
  const place = word => {
    const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
    let text = '';
    const nodes = [];
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      nodes.push([text.length, node]);
      text += node.data;
    }
    const at = text.indexOf(word);
    if (at < 0) return undefined;
    const [start, node] = nodes.findLast(([start]) => start <= at);
    return [node, at - start];
  };
  const [first, end] = [place(from), place(to)];
  if (!first || !end) return false;
  getSelection().setBaseAndExtent(...first, ...end);
  return first[0].parentElement.closest('.tail') !== null;
}

async function selectionChecks(profile, base) {
  const tab = await profile.tab(base);
  await check('a selection in text that is being written stays when the answer ends', async () => {
    await scripted(tab, 'rate:60 words:34 rate:1 words:1');
    await until('the words', async () => (await tab.evaluate(answer)).includes('juniper33'));
    must(await tab.evaluate(select, ['cedar26', 'inlet32']), 'what is selected is not in the tail');
    const text = () => getSelection().toString().trim();
    const before = await tab.evaluate(text);
    await ended(tab, 'complete');
    await tab.evaluate(motion, 3);
    must((await tab.evaluate(text)) === before, `"${await tab.evaluate(text)}" instead of "${before}"`);
    const copied = await tab.evaluate(() => {
      let data;
      document.addEventListener(
        'copy',
        event => {
          data = getSelection().toString().trim();
          event.preventDefault();
        },
        { once: true },
      );
      document.execCommand('copy');
      return data;
    });
    must(copied === undefined || copied === before, `"${copied}" is copied`);
    return before;
  });
  await tab.close();
}

/** The first line of the answer that is whole in view, and one in the middle. Runs in the page. */
function linesInView() {
  const view = document.querySelector('.scroller').getBoundingClientRect();
  const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
  const found = [];
  for (let n = 1; n <= 120; n += 1) {
    const walker = document.createTreeWalker(body, NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = node.data.indexOf(`Item ${n}`);
      if (at < 0 || /\d/.test(node.data.charAt(at + `Item ${n}`.length))) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + `Item ${n}`.length);
      const { top } = range.getBoundingClientRect();
      if (top >= view.top && top < view.bottom) found.push(n);
      break;
    }
  }
  return found;
}

/** How far a line of the list is from where it was, at most, until the answer has ended and a while longer. */
async function drift(n) {
  const body = () => [...document.querySelectorAll('.row-assistant .body')].at(-1);
  const top = () => {
    const walker = document.createTreeWalker(body(), NodeFilter.SHOW_TEXT);
    for (let node = walker.nextNode(); node; node = walker.nextNode()) {
      const at = node.data.indexOf(`Item ${n}`);
      if (at < 0 || /\d/.test(node.data.charAt(at + `Item ${n}`.length))) continue;
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + 1);
      return range.getBoundingClientRect().top;
    }
    return Number.NaN;
  };
  const from = top();
  const deadline = performance.now() + 25_000;
  let [most, after] = [0, 0];
  while (after < 20 && performance.now() < deadline) {
    await new Promise(requestAnimationFrame);
    // What a frame shows is known in the one after.
    most = Math.max(most, Math.abs(top() - from));
    if (body().closest('.row').dataset.status !== 'streaming') after += 1;
  }
  return { most, ended: after >= 20 };
}

async function anchorChecks(profile, base) {
  const tab = await profile.tab(base);
  await check(
    'the line being read in a list of 120 items stays while it is written and when it ends',
    async () => {
      await scripted(tab, 'rate:40 list:120 rate:1 words:1');
      await until('half of the list', async () => (await tab.evaluate(answer)).includes('Item70of'));
      await tab.wheel(-700);
      await still(tab);
      const lines = await tab.evaluate(linesInView);
      const line = lines[Math.min(2, lines.length - 1)];
      must(line !== undefined, 'no item of the list is in view');
      const { most, ended: over } = await tab.evaluate(drift, line);
      must(over, 'the answer has not ended');
      must(most <= 1, `item ${line} moved ${most.toFixed(2)} px`);
      const away = await tab.evaluate(() => {
        const { scrollHeight, clientHeight, scrollTop } = document.querySelector('.scroller');
        return scrollHeight - clientHeight - scrollTop;
      });
      must(away > 200, 'the end was followed');
      return `item ${line} moved ${most.toFixed(2)} px`;
    },
  );
  await check('and when an image arrives above it in the same message', async () => {
    const lines = await tab.evaluate(linesInView);
    const line = `Item ${lines[3]}`;
    const before = await tab.evaluate(topOf, line);
    await tab.evaluate(async () => {
      const body = [...document.querySelectorAll('.row-assistant .body')].at(-1);
      const image = document.createElement('div');
      image.style.height = '500px';
      body.querySelector('.md').prepend(image);
      for (let frame = 0; frame < 3; frame += 1) await new Promise(requestAnimationFrame);
    });
    const moved = Math.abs((await tab.evaluate(topOf, line)) - before);
    must(moved <= 1, `the line moved ${moved.toFixed(2)} px`);
    return `${moved.toFixed(2)} px`;
  });
  await tab.close();
}

/** Waits until nothing scrolls any more. */
async function still(tab) {
  await tab.evaluate(async () => {
    const scroller = document.querySelector('.scroller');
    const moved = () => new Promise(done => scroller.addEventListener('scroll', done, { once: true }));
    await Promise.race([moved(), new Promise(done => setTimeout(done, 1_000))]);
    for (let [top, same] = [Number.NaN, 0]; same < 10; ) {
      await new Promise(requestAnimationFrame);
      same = scroller.scrollTop === top ? same + 1 : 0;
      top = scroller.scrollTop;
    }
  });
}

/** The row being read stays where it is while older ones come above it. */
async function scrollChecks(profile, base, long) {
  const tab = await profile.tab(base);
  await check('scroll up through 50 messages: the row being read stays', async () => {
    await tab.open(`/t/${long}`);
    await rowsShown(tab);
    await until('the end', () => tab.evaluate(() => document.querySelector('.row[data-last]') !== null));
    const first = (await tab.evaluate(rows)).at(-1).depth;
    let [worst, bursts, depth] = [0, 0, first];
    while (first - depth < 50 && depth > 0) {
      await tab.wheel(-900);
      const moved = await tab.evaluate(reading);
      worst = Math.max(worst, moved.most);
      depth = moved.depth;
      bursts += 1;
    }
    must(worst <= 1, `the row moved ${worst.toFixed(2)} px`);
    return `${bursts} bursts, ${worst.toFixed(2)} px at most`;
  });
  await tab.close();
}

/** When the wheel has come to rest, how far the row in view moves by itself while pages come. Runs in the page. */
async function reading() {
  const scroller = document.querySelector('.scroller');
  for (let [top, same] = [Number.NaN, 0]; same < 8; ) {
    await new Promise(requestAnimationFrame);
    same = Math.abs(scroller.scrollTop - top) < 1 ? same + 1 : 0;
    top = scroller.scrollTop;
  }
  const view = scroller.getBoundingClientRect();
  const row = [...document.querySelectorAll('.row[data-row]')].find(
    row => row.getBoundingClientRect().bottom > view.top + 60,
  );
  const from = row.getBoundingClientRect().top;
  let most = 0;
  for (let frame = 0; frame < 12; frame += 1) {
    await new Promise(requestAnimationFrame);
    most = Math.max(most, Math.abs(row.getBoundingClientRect().top - from));
  }
  return { most, depth: Number(row.dataset.depth) };
}

/** All of it, in one browser over one network. */
export async function coreChecks(browser, base, long) {
  const profile = await browser.profile();
  await streamChecks(profile, base);
  await orderChecks(profile, base);
  await selectionChecks(profile, base);
  await anchorChecks(profile, base);
  await scrollChecks(profile, base, long);
  await profile.close();
}
