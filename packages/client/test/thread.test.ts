//! Patches in, snapshots out: what a component sees and when.

import { describe, expect, it, vi } from 'vitest';
import { Frames } from '../src/frames.js';
import type { Host } from '../src/host.js';
import { ThreadView } from '../src/thread.js';
import type { Row } from '../src/types.js';
import { type Head, VIEW, type ViewPatch } from '../src/wire.js';
import * as writes from '../src/writes.js';
import { Page } from './surroundings.js';

const HEAD: Head = {
  status: 'ready',
  total: 2,
  hasOlder: true,
  hasNewer: false,
  loadingOlder: false,
  loadingNewer: false,
};

function row(depth: number, text: string, more: Partial<Row> = {}): Row {
  const parts = [{ type: 'text', text }];
  const fixed = { id: `m${depth}`, role: 'user', status: 'complete', branch: 'b', createdAt: 0 } as const;
  return { ...fixed, depth, rev: 1, parts, ...more };
}

/** A view whose core is the test. */
function view() {
  const page = new Page();
  const asked: number[] = [];
  const host = {
    call: (kind: number) => asked.push(kind) > 0,
    jump: () => true,
  } as unknown as Host;
  const thread = new ThreadView(host, new Frames(page), 't', 1, { released: () => {} });
  let renders = 0;
  thread.subscribe(() => {
    renders += 1;
  });
  const apply = (...patches: ViewPatch[]) => {
    for (const patch of patches) thread.apply(patch);
  };
  return { page, asked, thread, apply, renders: () => renders };
}

describe('ThreadView', () => {
  it('publishes once a frame and hides what is not published', () => {
    const { page, thread, apply, renders } = view();
    const before = thread.getSnapshot();
    apply([VIEW.reset, [row(5, 'a'), row(6, 'b')]], [VIEW.head, HEAD]);
    expect(thread.getSnapshot()).toBe(before);
    page.frame();
    expect(renders()).toBe(1);
    const shown = thread.getSnapshot();
    expect(shown.rows.map(r => r.id)).toEqual(['m5', 'm6']);
    expect(shown.firstIndex).toBe(5);
    page.frame();
    expect(thread.getSnapshot()).toBe(shown);
  });

  it('streams past the snapshot, and ends text and status in one publish', () => {
    const { page, thread, apply, renders } = view();
    const streaming = row(1, '', { role: 'assistant', status: 'streaming', run: 'r' });
    apply([VIEW.reset, [row(0, 'q'), streaming]], [VIEW.head, HEAD]);
    page.frame();
    let text = '';
    let status: string | undefined;
    thread.stream('m1').attach({
      reset: all => {
        text = all;
      },
      append: delta => {
        text += delta;
      },
      end: () => {
        status = thread.getSnapshot().rows[1]?.status;
      },
    });
    for (let i = 0; i < 100; i++) {
      apply([VIEW.text, 'm1', `w${i} `]);
      page.frame();
    }
    expect(renders()).toBe(1);
    const all = thread.stream('m1').text();
    apply([VIEW.update, row(1, all, { role: 'assistant', rev: 2 })]);
    const first = thread.getSnapshot().rows[0];
    page.frame();
    expect(text).toBe(all);
    expect(status).toBe('streaming');
    expect(renders()).toBe(2);
    expect(thread.getSnapshot().rows[1]?.status).toBe('complete');
    expect(thread.getSnapshot().rows[0]).toBe(first);
  });

  it('keeps the rows of a fresh window that did not change', () => {
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(0, 'a'), row(1, 'b')]], [VIEW.head, HEAD]);
    page.frame();
    const [a, b] = thread.getSnapshot().rows;
    apply([VIEW.reset, [row(0, 'a'), row(1, 'B', { rev: 2 })]]);
    page.frame();
    const rows = thread.getSnapshot().rows;
    expect(rows[0]).toBe(a);
    expect(rows[1]).not.toBe(b);
  });

  it('takes the tools of a running message that a fresh window brings', () => {
    const { page, thread, apply } = view();
    const running = row(0, '', { status: 'streaming', run: 'r' });
    apply([VIEW.reset, [running]], [VIEW.head, HEAD]);
    page.frame();
    apply([VIEW.reset, [{ ...running, parts: [...running.parts, { type: 'tool-weather' }] }]]);
    page.frame();
    expect(thread.getSnapshot().rows[0]?.parts).toHaveLength(2);
  });

  it('lets go of an acknowledged message that the log does not bring', () => {
    vi.useFakeTimers();
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(0, 'a')]], [VIEW.head, HEAD]);
    thread.acknowledge(writes.send('t', { text: 'b' }));
    page.frame();
    expect(thread.getSnapshot().rows).toHaveLength(2);
    vi.advanceTimersByTime(10_000);
    page.frame();
    vi.useRealTimers();
    expect(thread.getSnapshot().rows).toHaveLength(1);
  });

  it('asks once for a page that is on its way, and answers when it is shown', async () => {
    const { page, asked, thread, apply } = view();
    apply([VIEW.reset, [row(5, 'a')]], [VIEW.head, HEAD]);
    page.frame();
    const [one, two] = [thread.loadOlder(), thread.loadOlder()];
    expect(asked.length).toBe(1);
    apply(
      [VIEW.prepend, [row(4, 'z')]],
      [VIEW.loaded, 'older', 1, null],
      [VIEW.head, { ...HEAD, hasOlder: false }],
    );
    page.frame();
    expect(await one).toEqual({ added: 1, hasOlder: false });
    expect(await two).toEqual({ added: 1, hasOlder: false });
    expect(thread.getSnapshot().firstIndex).toBe(4);
  });

  it('rejects a page and a jump that failed, and stays where it was', async () => {
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(5, 'a')]], [VIEW.head, HEAD]);
    page.frame();
    const problem = { code: 'unavailable', status: 503 };
    const older = thread.loadOlder();
    apply([VIEW.loaded, 'older', 0, problem]);
    page.frame();
    await expect(older).rejects.toMatchObject({ code: 'unavailable' });
    const jump = thread.jumpTo({ at: 'message', id: 'x' });
    apply([VIEW.stayed, { code: 'message_not_found', status: 404 }]);
    await expect(jump).rejects.toMatchObject({ code: 'message_not_found' });
    expect(thread.getSnapshot().rows.length).toBe(1);
  });

  it('drops rows from both ends and ends the streams that went with them', () => {
    const { page, thread, apply } = view();
    apply(
      [VIEW.reset, [row(0, 'a'), row(1, 'b'), row(2, 'c', { run: 'r', status: 'streaming' })]],
      [VIEW.head, HEAD],
    );
    page.frame();
    let ended = 0;
    thread.stream('m2').attach({ reset: () => {}, append: () => {}, end: () => void ended++ });
    apply([VIEW.dropFirst, 1], [VIEW.dropLast, 1]);
    page.frame();
    expect(thread.getSnapshot().rows.map(r => r.id)).toEqual(['m1']);
    expect(ended).toBe(1);
  });
});
