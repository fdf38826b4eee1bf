//! What the ops page asks and how: one question at a time, none while nobody looks, old answers kept and told from new ones.

import { describe, expect, test } from 'vitest';
import { Failure, silence } from '../src/ops/data/failure';
import { type Known, Poll, SLOWEST, type Surroundings } from '../src/ops/data/poll';
import { freshness, nodeNow } from '../src/ops/words/freshness';

/** Time that goes by when the test says so. */
class World implements Surroundings {
  time = 1_000_000;
  timers: { at: number; then: () => void }[] = [];

  now(): number {
    return this.time;
  }

  later(ms: number, then: () => void): () => void {
    const timer = { at: this.time + ms, then };
    this.timers.push(timer);
    return () => {
      this.timers = this.timers.filter(other => other !== timer);
    };
  }

  /** Milliseconds until the next timer. */
  get next(): number | undefined {
    return this.timers[0] && this.timers[0].at - this.time;
  }

  async pass(ms: number): Promise<void> {
    this.time += ms;
    const due = this.timers.filter(({ at }) => at <= this.time);
    this.timers = this.timers.filter(({ at }) => at > this.time);
    for (const { then } of due) then();
    await settled();
  }
}

const settled = () => new Promise<void>(done => setTimeout(done, 0));

function polled(answers: (signal: AbortSignal, at: number) => Promise<number>) {
  const world = new World();
  let asked = 0;
  const poll = new Poll<number>(
    signal => {
      asked += 1;
      return answers(signal, asked);
    },
    3_000,
    world,
  );
  return { world, poll, asked: () => asked };
}

describe('a poll', () => {
  test('asks while somebody looks, one question at a time', async () => {
    let answer: (value: number) => void = () => {};
    const { world, poll, asked } = polled(() => new Promise(done => (answer = done)));
    expect(asked()).toBe(0);
    const leave = poll.subscribe(() => {});
    expect(asked()).toBe(1);
    await world.pass(60_000);
    expect(asked()).toBe(1);
    answer(7);
    await settled();
    expect(poll.getSnapshot()).toMatchObject({ data: 7, answeredAt: world.time, failure: undefined });
    await world.pass(3_000);
    expect(asked()).toBe(2);
    leave();
    await world.pass(60_000);
    expect(asked()).toBe(2);
  });

  test('whoever comes back to a current answer waits for the next', async () => {
    const { world, poll, asked } = polled(async () => 1);
    poll.subscribe(() => {})();
    poll.subscribe(() => {});
    await settled();
    const before = asked();
    poll.pause(true);
    await world.pass(1_000);
    poll.pause(false);
    expect(asked()).toBe(before);
    expect(world.next).toBe(2_000);
  });

  test('asks nothing while it is paused, and at once when that ends', async () => {
    const { world, poll, asked } = polled(async () => 1);
    poll.subscribe(() => {});
    await settled();
    poll.pause(true);
    await world.pass(600_000);
    expect(asked()).toBe(1);
    poll.pause(false);
    await settled();
    expect(asked()).toBe(2);
  });

  test('keeps what was answered when nobody answers, and asks less often', async () => {
    const { world, poll } = polled(async (_, at) => {
      if (at > 1) throw silence();
      return 5;
    });
    poll.subscribe(() => {});
    await settled();
    const { answeredAt } = poll.getSnapshot();
    const waits: (number | undefined)[] = [];
    for (let round = 0; round < 5; round += 1) {
      await world.pass(world.next ?? 0);
      waits.push(world.next);
    }
    expect(waits).toEqual([3_000, 6_000, 12_000, SLOWEST, SLOWEST]);
    expect(poll.getSnapshot()).toMatchObject({ data: 5, answeredAt, failure: { kind: 'silent' } });
  });

  test('stops when its token is refused, until there is another', async () => {
    let token = false;
    const { world, poll, asked } = polled(async () => {
      if (!token) throw new Failure('token', 'unauthorized', 'No.');
      return 1;
    });
    poll.subscribe(() => {});
    await settled();
    await world.pass(600_000);
    expect(asked()).toBe(1);
    token = true;
    poll.again();
    await settled();
    expect(poll.getSnapshot().data).toBe(1);
    expect(world.next).toBe(3_000);
  });

  test('an answer that comes after the reader left is not taken', async () => {
    let answer: (value: number) => void = () => {};
    const { poll } = polled(() => new Promise(done => (answer = done)));
    const leave = poll.subscribe(() => {});
    leave();
    answer(9);
    await settled();
    expect(poll.getSnapshot().data).toBeUndefined();
  });
});

describe('how current it is', () => {
  const known = (rest: Partial<Known<number>>): Known<number> => ({
    data: 1,
    answeredAt: 100_000,
    failure: undefined,
    ...rest,
  });
  const at = (of: Known<number>, now: number, paused = false) => freshness(of, 3_000, now, paused);

  test.each([
    ['nothing yet', known({ data: undefined, answeredAt: undefined }), 100_000, 'waiting'],
    ['just answered', known({}), 101_000, 'fresh'],
    ['nine seconds old', known({}), 109_000, 'fresh'],
    ['ten seconds old', known({}), 110_000, 'old'],
    ['one question lost', known({ failure: silence() }), 105_000, 'fresh'],
    ['no answer for long', known({ failure: silence() }), 111_000, 'silent'],
    ['never an answer', known({ answeredAt: undefined, failure: silence() }), 100_000, 'silent'],
    ['an error for long', known({ failure: new Failure('broken', 'unavailable', 'No.') }), 111_000, 'failed'],
    ['no token', known({ failure: new Failure('token', 'unauthorized', 'No.') }), 101_000, 'locked'],
    ['no such thing', known({ failure: new Failure('off', 'route_not_found', 'No.') }), 101_000, 'off'],
  ] as const)('%s', (_, of, now, want) => {
    expect(at(of, now)).toBe(want);
  });

  test('standing still is said, but never hides that the node is silent', () => {
    expect(at(known({}), 500_000, true)).toBe('paused');
    expect(at(known({ failure: silence() }), 500_000, true)).toBe('silent');
  });

  test('time at the node goes on by its own clock', () => {
    expect(nodeNow(5_000, 100_000, 103_000)).toBe(8_000);
    expect(nodeNow(null, 100_000, 103_000)).toBe(103_000);
  });
});
