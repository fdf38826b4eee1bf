//! What is said under an answer that did not simply end.

import type { Row } from '@threadmill/client';
import { describe, expect, it } from 'vitest';
import { endingOf } from '../src/parts/run-ending';
import { toolNote } from '../src/parts/tool-note';

function row(status: Row['status'], metadata: unknown, more: Partial<Row> = {}): Row {
  const parts = [{ type: 'text', text: 'hi' }];
  return {
    ...{ id: 'm', role: 'assistant', parts, status, depth: 1, branch: 'b', rev: 1, createdAt: 0, metadata },
    ...more,
  };
}

describe('the ending of an answer', () => {
  it('names the reason, what to do and the provider’s words', () => {
    const error = {
      code: 'provider_rate_limited',
      message: 'The provider answered 429.',
      providerMessage: 'You exceeded your quota',
      status: 429,
    };
    const ending = endingOf(row('failed', { error }));
    expect(ending?.lines).toContain('The provider answered 429.');
    expect(ending?.lines.join(' ')).toContain('quota');
    expect(ending?.said).toBe('“You exceeded your quota”');
  });

  it('says of a complete answer what is not whole in it', () => {
    expect(endingOf(row('complete', { finishReason: 'length' }))?.lines[0]).toContain('limit');
    expect(endingOf(row('complete', { finishReason: 'refusal' }))?.lines[0]).toContain('declined');
    expect(endingOf(row('complete', { warnings: ['A part was left out.'] }))?.lines).toEqual([
      'A part was left out.',
    ]);
    const nothing = [
      [],
      [{ type: 'text', text: ' \n' }],
      [{ type: 'step-start' }, { type: 'reasoning', text: 'hm' }],
    ];
    for (const parts of nothing)
      expect(endingOf(row('complete', undefined, { parts }))?.lines).toEqual(['The answer is empty.']);
    const file = { type: 'file', mediaType: 'image/png', url: 'data:,' };
    expect(endingOf(row('complete', undefined, { parts: [file] }))).toBeUndefined();
  });

  it('says nothing of an answer that simply ended, or goes on', () => {
    expect(endingOf(row('complete', { usage: { total_tokens: 3 } }))).toBeUndefined();
    expect(endingOf(row('streaming', {}, { run: 'r' }))).toBeUndefined();
    expect(endingOf(row('failed', {}, { role: 'user' }))).toBeUndefined();
  });

  it('takes any value for any other', () => {
    for (const odd of [
      null,
      7,
      'x',
      [],
      { error: 7 },
      { error: { code: '__proto__', message: {} } },
      { warnings: 'x' },
    ]) {
      expect(endingOf(row('failed', odd))?.lines).toEqual(['This answer failed.']);
    }
    expect(endingOf(row('complete', { finishReason: '__proto__', warnings: [7, null] }))).toBeUndefined();
  });
});

describe('the note of a tool call', () => {
  it('is not “running” in an answer that has ended', () => {
    expect(toolNote('input-available', true)).toBe('running');
    expect(toolNote('input-available', false)).toBe('not run');
    expect(toolNote('input-streaming', false)).toBe('cut short');
    expect(toolNote('output-available', false)).toBe('done');
    expect(toolNote('__proto__', false)).toBe('');
    expect(toolNote(7, true)).toBe('');
  });
});
