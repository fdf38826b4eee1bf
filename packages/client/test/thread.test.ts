//! Patches in, snapshots out: what a component sees and when.

import { describe, expect, it, vi } from 'vitest';
import type { Host } from '../src/core/host.js';
import { type Head, VIEW, type ViewPatch } from '../src/core/wire.js';
import { Frames } from '../src/page/frames.js';
import * as writes from '../src/transport/writes.js';
import { ThreadView } from '../src/views/thread.js';
import type { Row, StreamHandle } from '../src/words/types.js';
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

/** What a sink of the stream is told from now on. */
function sinkOf(stream: StreamHandle): string[] {
  const calls: string[] = [];
  stream.attach({
    reset: text => void calls.push(`=${text}`),
    append: delta => void calls.push(`+${delta}`),
    end: () => void calls.push('.'),
  });
  return calls;
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

  it('says why the server gives nothing once that is no chance, keeps the rows, and takes it back', () => {
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(0, 'a')]], [VIEW.head, HEAD]);
    const fault = { code: 'internal', detail: 'A row is damaged.', status: 500 };
    expect(thread.reads('/threads/t/messages?anchor=tip')).toBe(true);
    expect(thread.reads('/threads/tt/messages?anchor=tip')).toBe(false);
    const said = () => {
      page.frame();
      return thread.getSnapshot().error?.message;
    };
    thread.answered(fault);
    thread.answered(fault);
    expect(said()).toBeUndefined();
    thread.answered(fault);
    expect(said()).toBe('A row is damaged.');
    expect(thread.getSnapshot()).toMatchObject({ status: 'ready', rows: [{ id: 'm0' }] });
    thread.answered(undefined);
    expect(said()).toBeUndefined();
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
      apply([VIEW.text, 'm1', 0, `w${i} `]);
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

  it('shows the text of a cached message go on, whether it is asked for before or after the window', () => {
    const { page, thread, apply } = view();
    const early = sinkOf(thread.stream('m1'));
    const streaming = row(1, 'The', { role: 'assistant', status: 'streaming', run: 'r' });
    thread.restore({ id: 't', keptAt: 0, total: 2, rows: [row(0, 'q'), streaming] });
    page.frame();
    const seen = sinkOf(thread.stream('m1'));
    expect(seen).toEqual(['=The']);
    const live = row(1, 'The answer', { role: 'assistant', status: 'streaming', run: 'r' });
    apply([VIEW.reset, [row(0, 'q'), live]], [VIEW.head, HEAD]);
    page.frame(40);
    apply([VIEW.text, 'm1', 0, ' is']);
    page.frame(40);
    apply([VIEW.update, row(1, 'The answer is', { role: 'assistant', rev: 2 })]);
    page.frame();
    expect(seen).toEqual(['=The', '+ answer', '+ is', '.']);
    expect(early.join('')).toMatch(/The\+ answer\+ is\.$/);
  });

  it('ends the text of a cached message that no run writes any more', () => {
    const { page, thread, apply } = view();
    const streaming = row(0, 'The', { role: 'assistant', status: 'streaming', run: 'r' });
    thread.restore({ id: 't', keptAt: 0, total: 1, rows: [streaming] });
    page.frame();
    const seen = sinkOf(thread.stream('m0'));
    apply([VIEW.reset, [row(0, 'The end', { role: 'assistant', rev: 2 })]], [VIEW.head, HEAD]);
    page.frame();
    expect(seen).toEqual(['=The', '+ end', '.']);
  });

  it('follows a row that leaves and comes back between two frames, and one that comes back later', () => {
    const { page, thread, apply } = view();
    const streaming = (text: string) => row(0, text, { role: 'assistant', status: 'streaming', run: 'r' });
    apply([VIEW.reset, [streaming('a')]], [VIEW.head, HEAD]);
    page.frame();
    const seen = sinkOf(thread.stream('m0'));
    apply([VIEW.dropLast, 1], [VIEW.append, [streaming('ab')]], [VIEW.text, 'm0', 0, 'c']);
    page.frame(40);
    expect(seen).toEqual(['=a', '+bc']);
    apply([VIEW.dropLast, 1]);
    page.frame();
    apply([VIEW.append, [streaming('abcd')]]);
    page.frame(40);
    apply([VIEW.text, 'm0', 0, 'e']);
    page.frame(40);
    expect(seen).toEqual(['=a', '+bc', '.', '+d', '+e']);
  });

  it('shows after a hidden time what a run wrote meanwhile, and goes on', () => {
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(0, 'a', { run: 'r', status: 'streaming' })]], [VIEW.head, HEAD]);
    page.frame();
    const seen = sinkOf(thread.stream('m0'));
    page.visible = false;
    apply([VIEW.text, 'm0', 0, 'b']);
    apply([VIEW.reset, [row(0, 'ab', { run: 'r', status: 'streaming' })]]);
    page.show();
    apply([VIEW.text, 'm0', 0, 'c']);
    page.frame(40);
    expect(seen).toEqual(['=a', '+b', '+c']);
  });

  it('tells part by part what a run writes, and renders the list for none of it', () => {
    const { page, thread, apply, renders } = view();
    apply([VIEW.reset, [row(0, '', { run: 'r', status: 'streaming', parts: [] })]], [VIEW.head, HEAD]);
    page.frame();
    const live = thread.live('m0');
    let changes = 0;
    live.subscribe(() => void changes++);
    const thought = { type: 'reasoning', text: '', state: 'streaming' };
    apply([VIEW.part, 'm0', 0, thought], [VIEW.text, 'm0', 0, 'Hm']);
    page.frame(40);
    expect(live.getSnapshot().map(part => part.type)).toEqual(['reasoning']);
    const seen = sinkOf(live.stream(0));
    apply([VIEW.text, 'm0', 0, 'm.']);
    page.frame(40);
    expect([seen, changes]).toEqual([['=Hm', '+m.'], 1]);
    apply([VIEW.part, 'm0', 0, { type: 'reasoning', text: 'Hmm.' }]);
    apply([VIEW.part, 'm0', 1, { type: 'text', text: 'A', state: 'streaming' }]);
    page.frame(40);
    const [before] = live.getSnapshot();
    apply([VIEW.text, 'm0', 1, 'B'], [VIEW.part, 'm0', 1, { type: 'text', text: 'AB' }]);
    page.frame(40);
    expect([changes, renders()]).toEqual([2, 1]);
    apply([VIEW.part, 'm0', 2, { type: 'tool-t', toolCallId: 'c', state: 'input-streaming' }]);
    apply([VIEW.part, 'm0', 3, { type: 'text', text: 'C', state: 'streaming' }]);
    page.frame(40);
    expect(live.getSnapshot().map(part => part.type)).toEqual(['reasoning', 'text', 'tool-t', 'text']);
    expect(live.getSnapshot()[0]).toBe(before);
    expect(thread.stream('m0').text()).toBe('ABC');
    // Who shows the row sees its tools, and what came before them.
    expect(renders()).toBe(2);
    expect(thread.getSnapshot().rows[0]?.parts[1]).toMatchObject({ type: 'text', text: 'AB' });
    const parts = [
      { type: 'reasoning', text: 'Hmm.' },
      { type: 'text', text: 'AB' },
    ];
    apply([VIEW.update, row(0, '', { rev: 2, parts })]);
    page.frame();
    expect(live.getSnapshot().map(part => part.type)).toEqual(['reasoning', 'text']);
    expect(live.getSnapshot()[0]).toBe(before);
  });

  it('shows the input of a tool as it grows, once a second and in no list', () => {
    vi.useFakeTimers();
    const { page, thread, apply, renders } = view();
    apply([VIEW.reset, [row(0, '', { run: 'r', status: 'streaming', parts: [] })]], [VIEW.head, HEAD]);
    const live = thread.live('m0');
    const inputs: unknown[] = [];
    live.subscribe(() => void inputs.push(live.getSnapshot()[0]?.input));
    const tool = (input: string, state = 'input-streaming') => ({
      type: 'tool-t',
      toolCallId: 'c',
      state,
      input,
    });
    apply([VIEW.part, 'm0', 0, tool('')]);
    page.frame(40);
    const before = renders();
    for (let n = 1; n <= 150; n++) {
      apply([VIEW.part, 'm0', 0, tool(String(n))]);
      vi.advanceTimersByTime(20);
      page.frame(20);
    }
    expect([inputs, renders()]).toEqual([['', '50', '100', '150'], before]);
    apply([VIEW.part, 'm0', 0, tool('all', 'input-available')]);
    page.frame(40);
    expect([inputs.at(-1), renders()]).toEqual(['all', before + 1]);
    apply([VIEW.update, row(0, '', { rev: 2, parts: [tool('all', 'output-available')] })]);
    page.frame(40);
    expect(vi.getTimerCount()).toBe(0);
    vi.useRealTimers();
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

  it('takes what a fresh window says of a row whose revision it knows', () => {
    const { page, thread, apply } = view();
    // What the browser kept is of a server that was put back since, and counts the same revisions again.
    thread.restore({ id: 't', keptAt: 0, total: 1, rows: [row(0, 'before', { rev: 2 })] });
    page.frame();
    apply([VIEW.reset, [row(0, 'after', { rev: 2 })]], [VIEW.head, HEAD]);
    page.frame();
    expect(thread.getSnapshot().rows[0]?.parts).toEqual([{ type: 'text', text: 'after' }]);
  });

  it('shows a run to who asked for the message before, and comes to it late', () => {
    const { page, thread, apply } = view();
    apply([VIEW.reset, [row(0, 'a')]], [VIEW.head, HEAD]);
    page.frame();
    const [stream, live] = [thread.stream('m0'), thread.live('m0')];
    const part = live.stream(0);
    expect([stream.text(), part.text(), live.getSnapshot().length]).toEqual(['a', 'a', 1]);
    // Nobody reads it: it is given up with the next frame.
    apply([VIEW.update, row(0, 'a', { rev: 2 })]);
    page.frame();
    apply([VIEW.update, row(0, 'a', { rev: 3, run: 'r', status: 'streaming' })]);
    page.frame();
    const [all, one] = [sinkOf(stream), sinkOf(part)];
    apply([VIEW.text, 'm0', 0, 'b']);
    page.frame(40);
    expect([all, one]).toEqual([
      ['=a', '+b'],
      ['=a', '+b'],
    ]);
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
