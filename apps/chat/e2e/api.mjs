//! The server's HTTP API, as the checks use it beside the page: to set up, and to compare with its bytes.

import { must } from './checks.mjs';
import { BASE } from './page.mjs';

/** One request; a refusal fails the check with the server's own words. */
export async function api(method, path, body) {
  const { answer, text } = await ask(method, path, body);
  must(answer.ok, `${method} ${path}: ${answer.status} ${text.slice(0, 300)}`);
  return text === '' ? undefined : JSON.parse(text);
}

/** What is there, or nothing if it is gone: threads of the checks that run beside these come and go. */
async function still(path) {
  const { answer, text } = await ask('GET', path);
  must(answer.ok || answer.status === 404, `GET ${path}: ${answer.status} ${text.slice(0, 300)}`);
  return answer.ok ? JSON.parse(text) : undefined;
}

async function ask(method, path, body) {
  const answer = await fetch(`${BASE}/v1${path}`, {
    method,
    headers: {
      'content-type': 'application/json',
      ...(method === 'GET' ? {} : { 'idempotency-key': crypto.randomUUID() }),
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  return { answer, text: await answer.text() };
}

/** A message whole, parts too long for a window included. */
export async function message(threadId, messageId) {
  return (await api('GET', `/threads/${threadId}/messages/${messageId}`)).message;
}

/** The text of a message, its text parts joined as the page's copy button joins them. */
export function textOf(message) {
  return message.parts
    .filter(part => part.type === 'text')
    .map(part => part.text)
    .join('\n\n');
}

/** All threads, a page at a time. */
export async function threads() {
  const all = [];
  let page = '';
  do {
    const answer = await api('GET', `/threads?limit=100${page}`);
    all.push(...answer.threads);
    page = answer.nextPage ? `&page=${encodeURIComponent(answer.nextPage)}` : '';
  } while (page !== '');
  return all;
}

/** The window at the tip of a branch. */
export function tip(threadId, branch = '') {
  return api(
    'GET',
    `/threads/${threadId}/messages?anchor=tip&before=50${branch === '' ? '' : `&branch=${branch}`}`,
  );
}

/** The id and the length of the longest thread. */
export async function longestThread() {
  let longest = { id: '', total: -1 };
  for (const { id } of await threads()) {
    const total = (await still(`/threads/${id}/messages?anchor=tip&before=1`))?.total ?? -1;
    if (total > longest.total) longest = { id, total };
  }
  return longest;
}

/** Threads of more than one branch that fit one window, newest first, `most` at most. */
export async function forkedThreads(most) {
  const found = [];
  for (const { id } of await threads()) {
    if (found.length >= most) break;
    const thread = (await still(`/threads/${id}`))?.thread;
    if (thread === undefined || thread.branches < 2) continue;
    const window = await still(`/threads/${id}/messages?anchor=tip&before=50`);
    if (window?.total <= 50) found.push(id);
  }
  return found;
}

/** A thread of `pairs` questions and answers, each answer with code in it. */
export async function codeThread(pairs) {
  const id = await threadWith('Show me code.', 'Code');
  const add = (role, text) =>
    api('POST', `/threads/${id}/messages`, { role, parts: [{ type: 'text', text }] });
  for (let pair = 0; pair < pairs; pair += 1) {
    const lines = Array.from(
      { length: 1 + (pair % 17) },
      (_, line) => `let value_${line} = ${pair} * ${line};`,
    );
    await add('assistant', `Number ${pair}:\n\n\`\`\`rust\n${lines.join('\n')}\n\`\`\`\n\nand so on.`);
    await add('user', `And after ${pair}?`);
  }
  return id;
}

/** A thread with one question in it. */
export async function threadWith(text, title) {
  const message = { role: 'user', parts: [{ type: 'text', text }] };
  return (await api('POST', '/threads', { title, message })).thread.id;
}

/**
 * About `tokens` tokens of words that are in no corpus, in paragraphs: the `replay` provider says back what it does
 * not know, so this is also the answer that is streamed.
 */
export function unknownText(tokens, paragraphs, seed) {
  let state = seed;
  const next = n => {
    state = (state * 1_103_515_245 + 12_345) % 2_147_483_648;
    return Math.floor((state / 2_147_483_648) * n);
  };
  const word = () => Array.from({ length: 5 }, () => 'qxzjvkw'[next(7)]).join('');
  const each = Math.ceil(tokens / paragraphs);
  const paragraph = () => Array.from({ length: each }, word).join(' ');
  return Array.from({ length: paragraphs }, paragraph).join('\n\n');
}
