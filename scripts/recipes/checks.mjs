//! What is asked of every recipe. An app is at `url` and prints into `app.output`; its model repeats what it is told, a word
//! every 10 ms, and says so when it is stopped.

import assert from 'node:assert/strict';
import { eventually, textOf } from './threads.mjs';

/** Two words, of which a window shows only the beginning: a model is to be given all. */
const WIDE = `${'four'.repeat(5_000)} five`;
const LONG = Array.from({ length: 1_500 }, (_, word) => `word${word}`).join(' ');

/** Asks an app for an answer. Without a user, or with one: on whose behalf. */
async function answer(url, thread, user) {
  const headers = user ? { authorization: user.authorization } : {};
  const response = await fetch(`${url}/threads/${thread}/answer`, { method: 'POST', headers });
  const text = await response.text();
  return { status: response.status, ...(text.startsWith('{') ? JSON.parse(text) : {}) };
}

const spoken = message => textOf(message).trimEnd();

/** Waits until the last message is an answer that ended so. */
function ended(user, thread, status) {
  return eventually(
    `an answer that is ${status}`,
    () => user.messages(thread),
    messages => messages.at(-1)?.role === 'assistant' && messages.at(-1).status === status,
  );
}

/** Fails with what is wrong with an app. `user` and `stranger` have tokens. */
export async function check(app, url, user, stranger) {
  const thread = await user.begin('one two three');
  assert.deepEqual(await answer(url, thread), { status: 401, code: 'unauthorized' });
  assert.deepEqual(await answer(url, thread, stranger), { status: 404, code: 'thread_not_found' });
  assert.equal((await user.messages(thread)).length, 1, 'whoever is refused writes nothing');

  const both = await Promise.all([answer(url, thread, user), answer(url, thread, user)]);
  const statuses = both.map(({ status }) => status).sort();
  assert.equal(statuses[0] === 202 ? statuses[1] : 0, statuses[1] === 204 ? 204 : 409, `${statuses}`);
  const first = await ended(user, thread, 'complete');
  assert.deepEqual(first.map(spoken), ['one two three', 'one two three']);
  assert.equal((await answer(url, thread, user)).status, 204, 'what was answered is not answered again');

  await user.say(thread, WIDE);
  assert.equal((await answer(url, thread, user)).status, 202);
  const second = await ended(user, thread, 'complete');
  assert.deepEqual(await Promise.all(second.map(({ id }) => user.whole(thread, id).then(spoken))), [
    'one two three',
    'one two three',
    WIDE,
    WIDE,
  ]);

  await user.say(thread, LONG);
  const { run } = await answer(url, thread, user);
  const begun = messages =>
    messages.at(-1).role === 'assistant' && textOf(messages.at(-1)).includes('word5 ');
  await eventually('the beginning of an answer', () => user.messages(thread), begun);
  const stopped = performance.now();
  await user.stop(run);
  await eventually(
    'a model that was stopped',
    () => app.output,
    output => output.includes('the model was stopped'),
  );
  const took = performance.now() - stopped;
  assert.ok(took < 2_000, `the model heard of the stop after ${took.toFixed(0)} ms`);
  const cut = (await ended(user, thread, 'stopped')).at(-1);
  assert.ok(LONG.startsWith(spoken(cut)) && spoken(cut).length < LONG.length / 2, 'the beginning stays');
  await eventually(
    'the outcome',
    () => app.output,
    output => output.includes('answer: stopped'),
  );

  await user.say(thread, 'six');
  assert.equal((await answer(url, thread, user)).status, 202);
  assert.equal(spoken((await ended(user, thread, 'complete')).at(-1)), 'six');
  assert.equal((await user.messages(thread)).length, 8);
  return took;
}
