//! Previews and wholes: a row's parts are for showing, and what is written or copied is whole.

import { describe, expect, it } from 'vitest';
import * as writes from '../src/transport/writes.js';
import { wholeParts, wholeTexts } from '../src/words/rows.js';
import type { Part, PreviewPart, Row, SendInput } from '../src/words/types.js';

const row: Row = {
  id: 'm',
  role: 'user',
  parts: [{ type: 'text', text: 'beginning' }],
  status: 'complete',
  depth: 0,
  branch: 'b',
  rev: 3,
  createdAt: 0,
};

describe('previews', () => {
  it('are not taken for parts by the compiler', () => {
    const [shown] = row.parts as readonly [PreviewPart];
    // @ts-expect-error: a preview is no part
    const part: Part = shown;
    // @ts-expect-error: nor are a row's parts what a message is made of
    const input: SendInput = { parts: [...row.parts] };
    // A whole part may be shown like any other.
    const preview: PreviewPart = { type: 'text', text: 'whole' } satisfies Part;
    expect([part, input.parts?.length, preview.type]).toEqual([shown, 1, 'text']);
  });

  it('are told from the whole by the row', () => {
    expect(wholeParts(row)).toBe(row.parts);
    expect(wholeParts({ ...row, previews: [] })).toBe(row.parts);
    expect(wholeParts({ ...row, previews: [{ part: 0, bytes: 41_410 }] })).toBeUndefined();
    expect(wholeParts({ ...row, run: 'r' })).toBeUndefined();
    const file = { type: 'file', url: 'data:,' };
    const both = { ...row, parts: [file, ...row.parts], previews: [{ part: 0, bytes: 41_410 }] };
    // The file is cut and the text is not: the text can be edited as it is.
    expect(wholeTexts(both)).toEqual([{ part: 1, text: 'beginning' }]);
    expect(wholeTexts({ ...both, previews: [{ part: 1, bytes: 41_410 }] })).toBeUndefined();
    expect(wholeTexts({ ...both, run: 'r' })).toBeUndefined();
  });
});

describe('an edit', () => {
  it('names the texts that it replaces, and the revision it was made from', () => {
    const texts = [
      { part: 0, text: 'one' },
      { part: 2, text: 'two' },
    ];
    const write = writes.edit('t', 'm', { texts, rev: 3, branch: 'b' });
    expect(write.body).toMatchObject({ texts, rev: 3, branch: 'b' });
    expect(write.body).not.toHaveProperty('parts');
    expect([writes.partsOf(write), writes.textsOf(write)]).toEqual([undefined, texts]);
    expect(writes.textOf(write)).toBe('one\n\ntwo');
  });

  it('by one text leaves the choice of the part to the server', () => {
    const write = writes.edit('t', 'm', { text: 'new' });
    expect(JSON.parse(JSON.stringify(write.body))).toEqual({ id: expect.any(String), text: 'new' });
    expect(writes.textsOf(write)).toEqual([{ text: 'new' }]);
  });
});
