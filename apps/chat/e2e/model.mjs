//! A model that says what it is asked to, for checks that need more than text: an OpenAI-compatible server. A question is
//! a script, one word a step: `thoughts:40` and `words:40` say so many words, `list:120` so many items of a list, `tool`
//! calls one, `rate:50` sets the words a second from then on, `hold` says nothing until somebody posts to `/go`, which waits
//! for an answer that is held, anything else is left out. As a process of its own it prints its address: `node model.mjs`.

import { createServer } from 'node:http';
import { setTimeout as after } from 'node:timers/promises';
import { pathToFileURL } from 'node:url';

const WORDS = 'amber birch cedar delta ember fjord grove heath inlet juniper karst lagoon'.split(' ');

/** The pieces of each step, as deltas of the API. */
const STEPS = {
  thoughts: count => words(count).map(word => ({ reasoning_content: word })),
  words: count => words(count).map(word => ({ content: word })),
  list: count =>
    Array.from({ length: count }, (_, n) => ({
      content: `${n + 1}. **Item ${n + 1}** of ${WORDS[n % 12]}\n`,
    })),
  tool: (_, step) =>
    ['', '{"place":', '"Bergen"}'].map((piece, at) => ({
      tool_calls: [
        {
          index: step,
          ...(at === 0 ? { id: `call-${step}` } : {}),
          function: { ...(at === 0 ? { name: 'weather' } : {}), arguments: piece },
        },
      ],
    })),
};

function words(count) {
  return Array.from({ length: count }, (_, n) => `${WORDS[n % 12]}${n}${n % 12 === 11 ? '.\n\n' : ' '}`);
}

/** Answers that are held, each by what lets it go on. */
const held = new Set();

/** Resolves when somebody says go, or when nobody reads the answer any more. */
function hold(response) {
  return new Promise(resolve => {
    const go = () => {
      held.delete(go);
      resolve();
    };
    held.add(go);
    response.once('close', go);
  });
}

/** Lets all go on that are held, once one is. */
async function letGo() {
  while (held.size === 0) await after(10);
  for (const go of held) go();
}

/** Writes the answer; stops when nobody reads it any more. */
async function answer(response, question) {
  const frame = (delta, reason = null) =>
    response.write(`data: ${JSON.stringify({ choices: [{ index: 0, delta, finish_reason: reason }] })}\n\n`);
  let rate = 40;
  for (const [index, step] of question.split(/\s+/).entries()) {
    const [kind, count] = step.split(':');
    if (kind === 'rate') rate = Number(count);
    if (kind === 'hold') await hold(response);
    for (const delta of STEPS[kind]?.(Number(count), index) ?? []) {
      if (response.destroyed) return;
      frame(delta);
      await after(1_000 / rate);
    }
  }
  frame({}, 'stop');
  response.end('data: [DONE]\n\n');
}

/** The text of the last message of a user. */
function asked(body) {
  const content = body.messages.findLast(message => message.role === 'user')?.content ?? '';
  return typeof content === 'string' ? content : content.map(part => part.text ?? '').join(' ');
}

/** Starts the server. */
export async function startModel(port = 0) {
  const server = createServer(async (request, response) => {
    if (request.url === '/go') {
      await letGo();
      return response.end();
    }
    const pieces = [];
    for await (const piece of request) pieces.push(piece);
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    await answer(response, asked(JSON.parse(Buffer.concat(pieces).toString() || '{"messages":[]}')));
  });
  await new Promise(listening => server.listen(port, '127.0.0.1', listening));
  return server;
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) {
  const server = await startModel();
  console.log(`http://127.0.0.1:${server.address().port}`);
}
