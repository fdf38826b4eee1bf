//! What the outbox adds to a thread and to the list.

import { describe, expect, it } from 'vitest';
import { Overlay, overList, type Pending } from '../src/outbox/overlay.js';
import * as writes from '../src/transport/writes.js';
import type { OutboxItem, Row, ThreadSnapshot } from '../src/words/types.js';

const row = (depth: number): Row => ({
  id: `m${depth}`,
  role: 'user',
  parts: [{ type: 'text', text: `message ${depth}` }],
  status: 'complete',
  depth,
  branch: 'b',
  rev: 1,
  createdAt: 0,
});

function snapshot(rows: Row[], more: Partial<ThreadSnapshot> = {}): ThreadSnapshot {
  const flags = { hasOlder: false, hasNewer: false, loadingOlder: false, loadingNewer: false };
  return { status: 'ready', rows, firstIndex: 0, total: rows.length, ...flags, ...more };
}

function pending(write: writes.Write, state: OutboxItem['state'] = 'pending'): Pending {
  const { key, kind, threadId } = write;
  return { write, item: { key, kind, threadId, state, createdAt: 1 } };
}

describe('the overlay', () => {
  it('leaves a thread without writes as it is', () => {
    const base = snapshot([row(0)]);
    expect(new Overlay().over(base)).toBe(base);
  });

  it('puts messages on their way after the last, and lets go of them when the log brings them', () => {
    const overlay = new Overlay();
    const [first, second] = [writes.send('t', { text: 'one' }), writes.send('t', { text: 'two' })];
    overlay.set([pending(first), pending(second, 'sending')]);
    const base = snapshot([row(0)]);
    const shown = overlay.over(base).rows;
    expect(shown.map(({ depth, outbox }) => [depth, outbox?.state])).toEqual([
      [0, undefined],
      [1, 'pending'],
      [2, 'sending'],
    ]);
    expect(shown[0]).toBe(base.rows[0]);
    // The same items make the same rows.
    expect(overlay.over(snapshot([row(0)])).rows[1]).toBe(shown[1]);
    // Acknowledged and not in the log yet: still there, marked no more; and in the log: once.
    overlay.set([pending(second)]);
    overlay.acknowledge(first);
    const acknowledged = overlay.over(base).rows;
    expect(acknowledged.map(({ id, outbox }) => [id, outbox?.state])).toEqual([
      ['m0', undefined],
      [first.messageId, undefined],
      [second.messageId, 'pending'],
    ]);
    const brought = { ...row(1), id: first.messageId ?? '' };
    const after = overlay.over(snapshot([row(0), brought])).rows;
    expect(after.map(({ id }) => id)).toEqual(['m0', first.messageId, second.messageId]);
    expect(after[1]).toBe(brought);
  });

  it('shows no message on its way where the tip is not held', () => {
    const overlay = new Overlay();
    overlay.set([pending(writes.send('t', { text: 'one' }))]);
    expect(overlay.over(snapshot([row(0)], { hasNewer: true, total: 90 })).rows.length).toBe(1);
  });

  it('marks rows that are being changed, and shows an edit', () => {
    const overlay = new Overlay();
    overlay.set([
      pending(writes.edit('t', 'm0', { text: 'better' })),
      pending(writes.removeMessage('t', 'm1'), 'failed'),
    ]);
    const [edited, removed] = overlay.over(snapshot([row(0), row(1)])).rows;
    expect([edited?.parts, edited?.outbox?.kind]).toEqual([[{ type: 'text', text: 'better' }], 'edit']);
    expect([removed?.parts, removed?.outbox?.state]).toEqual([row(1).parts, 'failed']);
  });

  it('shows an edit of parts: what is not named stays, previews of what is are gone', () => {
    const overlay = new Overlay();
    const file = { type: 'file', mediaType: 'image/png', url: 'data:,' };
    const [a, b] = [
      { type: 'text', text: 'a' },
      { type: 'text', text: 'b' },
    ];
    const previews = [0, 1, 2].map(part => ({ part, bytes: 20_000 }));
    const held = { ...row(0), parts: [a, file, b], previews };
    overlay.set([pending(writes.edit('t', 'm0', { texts: [{ part: 2, text: 'new' }], rev: 1 }))]);
    const [edited] = overlay.over(snapshot([held])).rows;
    expect(edited?.parts).toEqual([a, file, { type: 'text', text: 'new' }]);
    expect(edited?.previews?.map(({ part }) => part)).toEqual([0, 1]);
    // Without an index: the only text, wherever it stands.
    overlay.set([pending(writes.edit('t', 'm0', { text: 'new' }))]);
    const [only] = overlay.over(snapshot([{ ...held, parts: [file, a] }])).rows;
    expect(only?.parts).toEqual([file, { type: 'text', text: 'new' }]);
    // A text for what is no text changes nothing that is shown.
    overlay.set([pending(writes.edit('t', 'm0', { texts: [{ part: 1, text: 'new' }] }))]);
    expect(overlay.over(snapshot([held])).rows[0]?.parts).toEqual([a, file, b]);
  });

  it('shows an edit that an earlier release has kept', () => {
    const overlay = new Overlay();
    const parts = [{ type: 'text', text: 'kept' }];
    overlay.set([pending({ ...writes.removeMessage('t', 'm0'), kind: 'edit', parts })]);
    expect(overlay.over(snapshot([row(0)])).rows[0]?.parts).toEqual(parts);
  });

  it('shows a message on the branch it goes to alone', () => {
    const overlay = new Overlay();
    overlay.set([
      pending(writes.send('t', { text: 'main' })),
      pending(writes.send('t', { text: 'b', branch: 'b' })),
    ]);
    const texts = (branch: string) =>
      overlay.over(snapshot([], { branch, defaultBranch: 'main' })).rows.map(({ parts }) => parts[0]?.text);
    expect([texts('main'), texts('b'), texts('c')]).toEqual([['main'], ['b'], []]);
  });

  it('opens a thread that is only on its way', () => {
    const overlay = new Overlay();
    const write = writes.createThread({ message: 'hello', title: 'Greeting', run: true });
    overlay.set([pending(write)]);
    const missing = snapshot([], { status: 'error' });
    expect(overlay.over(missing)).toMatchObject({
      status: 'ready',
      title: 'Greeting',
      rows: [{ id: write.messageId }],
    });
    overlay.set([]);
    overlay.acknowledge(write);
    expect(overlay.over(missing)).toMatchObject({ status: 'ready', rows: [{ id: write.messageId }] });
  });
});

describe('the list with the outbox over it', () => {
  const thread = (id: string) => ({
    id,
    title: id,
    snippet: '',
    running: false,
    archived: false,
    updatedAt: 0,
  });
  const base = [thread('a'), thread('b')];

  it('shows what is being made first, new titles, and not what is being removed', () => {
    const made = writes.createThread({ title: 'new', message: 'hello' });
    const list = overList(base, [
      pending(writes.renameThread('a', 'other')),
      pending(made),
      pending(writes.deleteThread('b')),
    ]);
    expect(list.map(({ id, title }) => [id, title])).toEqual([
      [made.threadId, 'new'],
      ['a', 'other'],
    ]);
  });

  it('shows what was refused as the server has it', () => {
    expect(overList(base, [pending(writes.deleteThread('b'), 'failed')])).toEqual(base);
  });
});
