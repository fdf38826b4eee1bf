//! Who is coloured when: what is seen, the newest first, and never more than so many.

import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { CodeNode, ColourAnswer, ColourJob } from '../src/markdown/colour-job';
import { ColourQueue } from '../src/markdown/highlight';

/** A worker that answers when the test says so. */
class FakeWorker {
  onmessage: ((event: { data: ColourAnswer }) => void) | null = null;
  onerror: (() => void) | null = null;
  job: ColourJob | undefined;
  ended = false;

  postMessage(job: ColourJob): void {
    this.job = job;
  }

  terminate(): void {
    this.ended = true;
  }

  say(data: ColourAnswer): void {
    this.onmessage?.({ data });
  }

  answer(): void {
    if (this.job) this.say({ id: this.job.id, nodes: [this.job.code] });
  }
}

let workers: FakeWorker[];
let finished: string[];
let queue: ColourQueue;

beforeEach(() => {
  vi.useFakeTimers();
  workers = [];
  finished = [];
  const start = () => {
    const worker = new FakeWorker();
    workers.push(worker);
    return worker as unknown as Worker;
  };
  queue = new ColourQueue(start, ({ code }, nodes) => finished.push(nodes ? code : `${code} plain`));
});

afterEach(() => vi.useRealTimers());

/** Asks for a code; what came of it. */
function ask(code: string) {
  const heard: (readonly CodeNode[] | undefined)[] = [];
  const leave = queue.colour(code, 'js', nodes => heard.push(nodes));
  return { heard, leave };
}

/** The code that is being coloured. */
const now = () => workers.at(-1)?.job?.code;

it('colours what was asked for last first, and the same code once', () => {
  const [a, b, c] = [ask('a'), ask('b'), ask('c')];
  const again = ask('b');
  workers[0]?.say('loaded');
  for (let turn = 0; turn < 3; turn += 1) workers[0]?.answer();
  expect(finished).toEqual(['a', 'b', 'c']);
  expect([a, b, c, again].map(({ heard }) => heard)).toEqual([[['a']], [['b']], [['c']], [['b']]]);
});

it('forgets code that nobody shows any more, and waits a second for one that is under way', () => {
  const hard = Array.from({ length: 100 }, (_, n) => ask(`hard ${n}`));
  workers[0]?.say('loaded');
  for (const { leave } of hard) leave();
  const seen = ask('seen');
  expect(now()).toBe('hard 0');
  vi.advanceTimersByTime(1_000);
  expect([workers[0]?.ended, finished]).toEqual([true, ['hard 0 plain']]);
  workers[1]?.say('loaded');
  expect(now()).toBe('seen');
  workers[1]?.answer();
  expect([seen.heard, hard.flatMap(({ heard }) => heard)]).toEqual([[['seen']], []]);
  expect(finished).toEqual(['hard 0 plain', 'seen']);
});

it('keeps no job as long as one of two who show it is there', () => {
  ask('first');
  const [one, other] = [ask('code'), ask('code')];
  one.leave();
  workers[0]?.say('loaded');
  workers[0]?.answer();
  workers[0]?.answer();
  expect([one.heard, other.heard]).toEqual([[], [['code']]]);
});

it('holds so many, and of more those that were asked for first stay plain', () => {
  const all = Array.from({ length: 1_000 }, (_, n) => ask(`code ${n}`));
  workers[0]?.say('loaded');
  for (let turn = 0; turn < 2_000; turn += 1) workers[0]?.answer();
  expect(finished.length).toBe(201);
  expect(all.at(-1)?.heard.length).toBe(1);
  expect(all[1]?.heard).toEqual([]);
});

it('goes on without workers: everything stays plain', () => {
  queue = new ColourQueue(
    () => {
      throw new Error('no workers here');
    },
    ({ code }) => finished.push(code),
  );
  expect([ask('a').heard, ask('b').heard, finished]).toEqual([[undefined], [undefined], ['a', 'b']]);
});
