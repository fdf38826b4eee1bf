//! Whatever a reader missed, what it was given folds to the message: the chunks of a run cut at every place.

import { describe, expect, it } from 'vitest';
import { Progress } from '../src/ai-sdk/progress.js';
import type { UIMessageChunk } from '../src/ai-sdk/types.js';
import type { Part } from '../src/words/types.js';

/** A run with everything in it, and the message after each chunk as the server folds it. */
const RUN: [UIMessageChunk, Part[]][] = (() => {
  const step: Part = { type: 'step-start' };
  const thought = (text: string, state?: string): Part => ({
    type: 'reasoning',
    text,
    ...(state ? { id: 'r', state } : {}),
  });
  const text = (text: string, state?: string): Part => ({
    type: 'text',
    text,
    ...(state ? { id: '0', state } : {}),
  });
  const call = (state: string, more: object = {}): Part => ({
    type: 'tool-weather',
    toolCallId: 'c',
    state,
    ...more,
  });
  const [input, output] = [{ city: 'Bern' }, { degrees: 3 }];
  const source: Part = { type: 'source-url', sourceId: 's', url: 'https://example.org' };
  const done = [step, thought('hm'), call('output-available', { input, output })];
  return [
    [{ type: 'start-step' }, [step]],
    [{ type: 'reasoning-start', id: 'r' }, [step, thought('', 'streaming')]],
    [{ type: 'reasoning-delta', id: 'r', delta: 'hm' }, [step, thought('hm', 'streaming')]],
    [{ type: 'reasoning-end', id: 'r' }, [step, thought('hm')]],
    [
      { type: 'tool-input-start', toolCallId: 'c', toolName: 'weather' },
      [step, thought('hm'), call('input-streaming')],
    ],
    [
      { type: 'tool-input-available', toolCallId: 'c', toolName: 'weather', input },
      [step, thought('hm'), call('input-available', { input })],
    ],
    [{ type: 'tool-output-available', toolCallId: 'c', output }, done],
    [{ type: 'finish-step' }, done],
    [{ type: 'start-step' }, [...done, step]],
    [{ type: 'text-start', id: '0' }, [...done, step, text('', 'streaming')]],
    [{ type: 'text-delta', id: '0', delta: 'It is ' }, [...done, step, text('It is ', 'streaming')]],
    [{ type: 'text-delta', id: '0', delta: 'cold.' }, [...done, step, text('It is cold.', 'streaming')]],
    [{ type: 'text-end', id: '0' }, [...done, step, text('It is cold.')]],
    [source as UIMessageChunk, [...done, step, text('It is cold.'), source]],
    [{ type: 'finish-step' }, [...done, step, text('It is cold.'), source]],
  ];
})();

/**
 * What the chunks say, without the ways they were cut: a delta is as good as two. Texts are numbered, since the
 * ids of those that have ended are not kept.
 */
function joined(chunks: UIMessageChunk[]): UIMessageChunk[] {
  const result: UIMessageChunk[] = [];
  const numbers = new Map<string, string>();
  for (const named of chunks) {
    const text = /^(text|reasoning)-/.test(named.type) && 'id' in named && named.id !== undefined;
    if (text && named.type.endsWith('-start')) numbers.set(named.id ?? '', `number ${numbers.size}`);
    const chunk = text ? ({ ...named, id: numbers.get(named.id ?? '') } as UIMessageChunk) : named;
    const last = result.at(-1);
    if (last && 'delta' in last && 'delta' in chunk && last.id === chunk.id) last.delta += chunk.delta;
    else result.push({ ...chunk });
  }
  return result;
}

describe('Progress', () => {
  it('makes the chunks that were missed of the message, wherever reading stopped and went on', () => {
    const whole = joined(RUN.map(([chunk]) => chunk));
    for (let from = 0; from <= RUN.length; from++) {
      for (let to = from; to <= RUN.length; to++) {
        const progress = new Progress();
        const given: UIMessageChunk[] = [];
        const follow = (chunks: typeof RUN) => {
          for (const [chunk] of chunks) if (progress.pass(chunk)) given.push(chunk);
        };
        follow(RUN.slice(0, from));
        given.push(...progress.catchUp(RUN[to - 1]?.[1] ?? []));
        follow(RUN.slice(to));
        given.push(...progress.close());
        const want = missedStart(from, to) ? withoutStart(whole) : whole;
        expect(withoutStepEnds(joined(given)), `missed ${from}..${to}`).toEqual(withoutStepEnds(want));
      }
    }
  });

  it('adds nothing where the reader has more than a part that was cut short', () => {
    const progress = new Progress();
    progress.pass({ type: 'text-start', id: '0' });
    progress.pass({ type: 'text-delta', id: '0', delta: 'a long text' });
    expect(progress.catchUp([{ type: 'text', text: 'a lo' }])).toEqual([{ type: 'text-end', id: '0' }]);
    expect(progress.close()).toEqual([]);
  });

  it('tells apart texts that share an id one after the other, and says what failed', () => {
    const progress = new Progress();
    const parts: Part[] = [
      { type: 'text', text: 'one', id: '0', state: 'done' },
      {
        type: 'dynamic-tool',
        toolName: 'x',
        toolCallId: 'c',
        state: 'output-error',
        input: 1,
        errorText: 'no',
      },
      { type: 'text', text: 'tw', id: '0', state: 'streaming' },
    ];
    expect(progress.catchUp(parts)).toEqual([
      { type: 'text-start', id: '0' },
      { type: 'text-delta', id: '0', delta: 'one' },
      { type: 'text-end', id: '0' },
      { type: 'tool-input-available', toolName: 'x', input: 1, toolCallId: 'c', dynamic: true },
      { type: 'tool-output-error', errorText: 'no', toolCallId: 'c', dynamic: true },
      { type: 'text-start', id: '0' },
      { type: 'text-delta', id: '0', delta: 'tw' },
    ]);
    expect(progress.pass({ type: 'text-delta', id: '0', delta: 'o' })).toBe(true);
    expect(progress.catchUp([...parts.slice(0, 2), { type: 'text', text: 'two' }])).toEqual([
      { type: 'text-end', id: '0' },
    ]);
    expect(progress.pass({ type: 'text-delta', id: 'unknown', delta: 'o' })).toBe(false);
  });
});

/** The tool's input begins at 4 and is whole at 5: who missed both is given the whole alone. */
function missedStart(from: number, to: number): boolean {
  return from <= 4 && to >= 6;
}

function withoutStart(chunks: UIMessageChunk[]): UIMessageChunk[] {
  return chunks.filter(chunk => chunk.type !== 'tool-input-start');
}

/** A message does not say whether its last step has ended, nor what of it ends before its sources. */
function withoutStepEnds(chunks: UIMessageChunk[]): UIMessageChunk[] {
  return chunks.filter(chunk => chunk.type !== 'finish-step');
}
