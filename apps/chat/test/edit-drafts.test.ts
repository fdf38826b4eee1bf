//! What was typed into editors is kept by message, within bounds, and read with care.

import { expect, it } from 'vitest';
import { EditDrafts } from '../src/parts/edit-drafts';

class MemoryDrafts {
  readonly all = new Map<string, string>();

  get(place: string): string {
    return this.all.get(place) ?? '';
  }

  set(place: string, text: string): void {
    if (text === '') this.all.delete(place);
    else this.all.set(place, text);
  }
}

const draft = (text: string, rev = 1) => ({ rev, texts: [{ part: 0, text }] });

it('an edit is there again, whoever asks, until it is forgotten', () => {
  const drafts = new MemoryDrafts();
  const first = new EditDrafts(drafts, 't');
  first.set('m', draft('typed'));
  first.set('m', draft('typed more'));
  const again = new EditDrafts(drafts, 't');
  expect([again.newest(), again.get('m')]).toEqual(['m', draft('typed more')]);
  expect(new EditDrafts(drafts, 'other').newest()).toBe(undefined);
  again.forget('m');
  expect([again.newest(), again.get('m'), drafts.all.size]).toEqual([undefined, undefined, 0]);
});

it('the newest are kept, and not too many letters', () => {
  const drafts = new MemoryDrafts();
  for (let n = 0; n < 30; n += 1) new EditDrafts(drafts, `t${n}`).set(`m${n}`, draft('typed'));
  expect(drafts.all.size).toBe(21);
  expect(new EditDrafts(drafts, 't29').newest()).toBe('m29');
  expect(new EditDrafts(drafts, 't9').newest()).toBe(undefined);
  new EditDrafts(drafts, 'long').set('long', draft('x'.repeat(1_100_000)));
  expect(drafts.all.size).toBe(2);
  new EditDrafts(drafts, 'next').set('next', draft('typed'));
  expect([...drafts.all.keys()].sort()).toEqual(['edit.next', 'edits']);
});

it.each(['', '7', '{', 'null', '[null]', '[["t"]]', '[["t","m",{}]]', '{"length":3}', '["t","m",1]'])(
  'a list that is none, %s, is no edit',
  stored => {
    const drafts = new MemoryDrafts();
    drafts.set('edits', stored);
    drafts.set('edit.m', stored);
    const edits = new EditDrafts(drafts, 't');
    expect([edits.newest(), edits.get('m')]).toEqual([undefined, undefined]);
    edits.set('m', draft('typed'));
    expect(edits.newest()).toBe('m');
  },
);
