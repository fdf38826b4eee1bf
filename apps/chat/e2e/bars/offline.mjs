//! Bar: what is sent without a network, or into a server that dies, arrives once, in order.

import { chromium } from 'playwright-core';
import { check, must, until } from '../checks.mjs';
import { bars, equip, launch, OPTIONS, openTab } from './browser.mjs';
import { LossyProxy } from './proxy.mjs';
import { forget, place, Server } from './server.mjs';

const FULL = process.env.THREADMILL_FULL === '1';
/** Sends without a network, over two tabs and two threads. */
const SENDS = 20;
const ROUNDS = FULL ? 10 : 2;
/** Answers lost to a killed server. */
const KILLS = FULL ? 10 : 2;

const empty = page => async () => (await bars(page, 'outbox')).length === 0;

/** The texts of a thread's messages after its first. */
async function textsOf(server, threadId, user) {
  const { messages } = await server.tip(threadId, user, 200);
  return messages.slice(1).map(message => message.parts.map(part => part.text).join(''));
}

/** A browser whose storage outlives it, with two tabs. */
async function reopened(profile, url, user) {
  const context = await equip(await chromium.launchPersistentContext(profile, { ...OPTIONS }));
  const tabs = [await openTab(context, url, { user }), await openTab(context, url, { user })];
  return { context, tabs };
}

/** Takes the network away and makes sure of it. */
async function cut(context, tabs) {
  await context.setOffline(true);
  await until('every tab to know', async () => {
    const cutOff = await Promise.all(
      tabs.map(tab =>
        tab.evaluate(() =>
          fetch('/livez').then(
            () => false,
            () => true,
          ),
        ),
      ),
    );
    return cutOff.every(Boolean);
  });
}

async function sendsOffline(server, round) {
  const user = `offline-${round}`;
  await check(`offline: ${SENDS} sends in two tabs, the browser closed and opened again`, async () => {
    const profile = await place('profile');
    const threads = [await server.thread(user, 'One'), await server.thread(user, 'Two')];
    const before = await reopened(profile, server.url, user);
    for (const tab of before.tabs) await bars(tab, 'show', threads[0], 'drawn');
    await until('a connection', async () => (await server.connections(user)) === 1);
    await cut(before.context, before.tabs);
    const sent = [[], []];
    for (let at = 0; at < SENDS; at += 1) {
      const thread = at % 2;
      const text = `number ${at}`;
      await bars(before.tabs[Math.floor(at / 2) % 2], 'send', threads[thread], { text });
      sent[thread].push(text);
    }
    await until('both tabs to show what waits', async () => {
      const waiting = await Promise.all(before.tabs.map(tab => bars(tab, 'outbox')));
      return waiting.every(items => items.length === SENDS);
    });
    const { rows } = await bars(before.tabs[0], 'state', threads[0]);
    const shown = rows.slice(1).map(row => row.text);
    must(JSON.stringify(shown) === JSON.stringify(sent[0]), `the tab shows ${shown.join(', ')}`);
    for (const thread of threads) {
      must(
        (await textsOf(server, thread, user)).length === 0,
        'something got through: the network was not off',
      );
    }
    await before.context.close();
    const started = performance.now();
    const after = await reopened(profile, server.url, user);
    for (const tab of after.tabs) await until('an empty outbox', empty(tab), 30_000);
    const took = Math.round(performance.now() - started);
    for (const [at, thread] of threads.entries()) {
      const texts = await textsOf(server, thread, user);
      must(JSON.stringify(texts) === JSON.stringify(sent[at]), `thread ${at} has ${texts.join(', ')}`);
    }
    await after.context.close();
    await forget(profile);
    return `all there once and in order, ${took} ms from the start of the browser`;
  });
}

/** Sends a question without a network and stops its answer at once; resolves when the outbox knows of the stop. */
async function sendAndStop(tab, thread, text) {
  const { runId } = await bars(tab, 'send', thread, { text, run: true });
  await tab.evaluate(run => {
    void window.__bars.client.stop(run);
  }, runId);
  return runId;
}

async function stopOffline(browser, server) {
  await check('offline: a stop takes back its own unsent send', async () => {
    const user = 'stopper';
    const threads = [await server.thread(user, 'Stops'), await server.thread(user, 'Tried')];
    const context = await equip(await browser.newContext());
    const tab = await openTab(context, server.url, { user });
    for (const thread of threads) await bars(tab, 'show', thread, 'drawn');
    await until('a connection', async () => (await bars(tab, 'status')).connection === 'live');
    const began = performance.now();
    await cut(context, [tab]);
    await until('the client to know', async () => (await bars(tab, 'status')).connection === 'offline');
    const knew = Math.round(performance.now() - began);
    await bars(tab, 'send', threads[0], { text: 'first' });
    await sendAndStop(tab, threads[0], 'never mind');
    await until('it to be taken back', async () =>
      (await bars(tab, 'outbox')).every(item => item.text === 'first'),
    );
    // The first of a thread may have been tried: then nobody knows whether it arrived, and the stop follows it.
    const run = await sendAndStop(tab, threads[1], 'tried');
    await context.setOffline(false);
    await until('an empty outbox', empty(tab), 30_000);
    const texts = await textsOf(server, threads[0], user);
    must(texts.join() === 'first', `the thread has ${texts.join(', ')}`);
    const other = await textsOf(server, threads[1], user);
    let end = 'taken back';
    if (other.length > 0) end = (await server.api('GET', `/runs/${run}`, undefined, user)).run.outcome;
    must(end === 'taken back' || end === 'stopped', `the run that was tried is ${end}`);
    await context.close();
    return `known after ${knew} ms; the first in its thread was ${end}`;
  });
}

async function killed(browser, server) {
  await check(`offline: ${KILLS} times the server dies between commit and answer`, async () => {
    const user = 'killed';
    const thread = await server.thread(user, 'Kills');
    const context = await equip(await browser.newContext());
    const proxy = await LossyProxy.before(server.port);
    const tabs = [await openTab(context, proxy.url, { user }), await openTab(context, proxy.url, { user })];
    for (const tab of tabs) await bars(tab, 'show', thread, 'drawn');
    await until('a connection', async () => (await bars(tabs[1], 'status')).connection === 'live');
    const sent = [];
    const times = [];
    for (let kill = 0; kill < KILLS; kill += 1) {
      const answered = new Promise(done => {
        proxy.lost = done;
      });
      proxy.loses = request => request.startsWith('POST') && request.includes('/messages');
      for (const part of ['first', 'second', 'third']) {
        const text = `${part} of ${kill}`;
        sent.push(text);
        await bars(tabs[kill % 2], 'send', thread, { text });
      }
      await answered;
      await server.end('SIGKILL');
      await until('all three to wait', async () => (await bars(tabs[kill % 2], 'outbox')).length === 3);
      await server.again();
      proxy.mend();
      const back = performance.now();
      for (const tab of tabs) await until('an empty outbox', empty(tab), 60_000);
      times.push(Math.round(performance.now() - back));
      const texts = await textsOf(server, thread, user);
      must(JSON.stringify(texts) === JSON.stringify(sent), `the thread has ${texts.join(', ')}`);
    }
    for (const tab of tabs) {
      await until('the tab to show it', async () => {
        const { rows } = await bars(tab, 'state', thread);
        return JSON.stringify(rows.slice(1).map(row => row.text)) === JSON.stringify(sent.slice(-99));
      });
    }
    await proxy.close();
    await context.close();
    return `${sent.length} messages once and in order, outbox empty ${times.join(', ')} ms after the restart`;
  });
}

export async function offlineBar() {
  const data = await place('offline');
  const server = await Server.start({ data, args: ['--no-sample'] });
  for (let round = 0; round < ROUNDS; round += 1) await sendsOffline(server, round);
  const browser = await launch();
  await stopOffline(browser, server);
  await killed(browser, server);
  await browser.close();
  await server.end();
  await forget(data);
}
