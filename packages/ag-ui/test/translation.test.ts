//! Chunks in any order are events in an order that AG-UI's own check takes, and end the run.

import { verifyEvents } from '@ag-ui/client';
import { type AGUIEvent, type BaseEvent, EventType } from '@ag-ui/core';
import { from, lastValueFrom, toArray } from 'rxjs';
import { expect, it } from 'vitest';
import { type Chunk, Translation } from '../src/translation.js';

const KINDS = [
  'start',
  'text-start',
  'text-delta',
  'text-end',
  'reasoning-start',
  'reasoning-delta',
  'reasoning-end',
  'tool-input-start',
  'tool-input-delta',
  'tool-input-available',
  'tool-input-error',
  'tool-output-available',
  'tool-output-error',
  'source-url',
  'start-step',
  'nobody-knows-this',
];

/** Numbers from a seed (mulberry32), so that a failure can be seen again. */
function numbers(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

function chunk(next: () => number): Chunk {
  const pick = <T>(all: readonly T[]): T => all[Math.floor(next() * all.length)] as T;
  const id = pick(['0', '1', '__proto__']);
  const text = pick(['', 'words', undefined, { no: 'text' }]);
  const tool = { toolCallId: id, toolName: pick(['search', undefined]), input: { of: id }, output: text };
  return {
    type: pick(KINDS),
    id,
    delta: text,
    inputTextDelta: text,
    errorText: text,
    messageId: 'm',
    ...tool,
  };
}

function translated(chunks: readonly Chunk[]): AGUIEvent[] {
  const translation = new Translation('thread', 'run');
  const events = [translation.begin(), ...chunks.flatMap(one => [...translation.of(one)])];
  return [...events, ...translation.fail('unavailable', 'It broke.')];
}

it.each(['finish', 'abort', 'error', 'nothing'])('whatever came before %s', async end => {
  for (let seed = 0; seed < 500; seed++) {
    const next = numbers(seed);
    const chunks = Array.from({ length: 40 }, () => chunk(next));
    const events = translated([...chunks, ...(end === 'nothing' ? [] : [{ type: end }]), ...chunks]);
    const checked = from(events as BaseEvent[]).pipe(verifyEvents(), toArray());
    await expect(lastValueFrom(checked), `seed ${seed}`).resolves.toHaveLength(events.length);
    const ends = events.filter(({ type }) => type === EventType.RUN_FINISHED || type === EventType.RUN_ERROR);
    expect([ends.length, events.indexOf(ends[0] as AGUIEvent)]).toEqual([1, events.length - 1]);
  }
});

it('an answer whose writer is gone is no success', () => {
  const run = { type: 'data-threadmill-run', data: { run: 'r', status: 'interrupted' } };
  const events = translated([
    { type: 'text-delta', id: '0', delta: 'so far' },
    run,
    { type: 'finish', finishReason: 'other' },
  ]);
  expect(events.at(-1)).toMatchObject({ type: EventType.RUN_ERROR, code: 'interrupted' });
  expect(events.at(-2)).toMatchObject({ type: EventType.TEXT_MESSAGE_END });
});
