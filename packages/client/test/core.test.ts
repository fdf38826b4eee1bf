//! The core as it is built for browsers, driven through its bindings from the first frame to a second page.

import { readFileSync } from 'node:fs';
import { beforeAll, describe, expect, it } from 'vitest';
import { Call, type CallKind, Core, type CoreModule, loadCore } from '../src/core/core.js';
import { decode } from '../src/core/decode.js';
import { OUT, type Output, VIEW } from '../src/core/wire.js';
import { type Problem, ProblemError } from '../src/words/problem.js';

type Item = number | string | null | boolean | Uint8Array | Item[];

/** CBOR of the server's frames: what they are made of and no more. */
function encode(item: Item): number[] {
  if (item === null) return [0xf6];
  if (typeof item === 'boolean') return [item ? 0xf5 : 0xf4];
  if (typeof item === 'number') return head(0, item);
  if (item instanceof Uint8Array) return [...head(2, item.length), ...item];
  if (Array.isArray(item)) return [...head(4, item.length), ...item.flatMap(encode)];
  const text = new TextEncoder().encode(item);
  return [...head(3, text.length), ...text];
}

function head(major: number, value: number): number[] {
  if (value < 24) return [(major << 5) | value];
  if (value < 256) return [(major << 5) | 24, value];
  return [(major << 5) | 25, value >> 8, value & 255];
}

const frame = (index: number, ...fields: Item[]) => Uint8Array.from(encode([index, fields]));

const message = (depth: number): Item => {
  const part = [0, [`message ${depth}`, null]];
  return [`m${depth}`, 1, [part], null, 0, 'main', depth, 1, 1_000, []];
};

/** Depths `from..to` of a thread of 100. */
function page(from: number, to: number): Item {
  const messages = Array.from({ length: to - from }, (_, at) => message(from + at));
  const cursor = [[1, 100, new Uint8Array(16)], []];
  return ['t', 'main', cursor, 100, from, to, messages, [], [], [['main', 0]]];
}

let module: CoreModule;

class Client {
  readonly core = new Core(module, 7);
  #now = 0;

  do(kind: CallKind, a?: number, texts?: (string | Uint8Array)[], b?: number): Output[] {
    this.core.call(kind, ++this.#now, a, texts, b);
    return decode(this.core.poll()) as Output[];
  }

  /** The connection stands and a view of the thread is asked for: the number and path of its window. */
  opened(): [number, string] {
    this.do(Call.start);
    this.do(Call.opened);
    this.do(Call.received, 0, [frame(0, 1, 'node', 15_000, 'user')]);
    const asked = this.do(Call.open, 1, ['t', '', 'tip']);
    const [, request, path] = asked.find(is(OUT.fetchWindow)) ?? [];
    return [request ?? 0, path ?? ''];
  }

  /** Depths of the window that was asked for come: what the core does then. */
  answered(request: number, from: number, to: number): Output[] {
    const body = Uint8Array.from(encode(page(from, to)));
    return this.do(Call.page, request, [body]);
  }

  /** A view holds the last ten messages and follows them; its subscription. */
  subscribed(): number {
    const outputs = this.answered(this.opened()[0], 90, 100);
    const [index, [sub]] = decode(outputs.find(is(OUT.send))?.[1] ?? new Uint8Array()) as [number, [number]];
    expect(index).toBe(1);
    return sub;
  }
}

const is =
  <T extends Output[0]>(tag: T) =>
  (output: Output): output is Extract<Output, [T, ...unknown[]]> =>
    output[0] === tag;

const viewed = (outputs: Output[]) => outputs.filter(is(OUT.view)).map(output => output[2]);

describe('the core', () => {
  beforeAll(async () => {
    module = await loadCore(readFileSync(new URL('../wasm/threadmill.wasm', import.meta.url)));
  });

  it('greets the server when the socket is open', () => {
    const client = new Client();
    expect(client.do(Call.start)).toContainEqual([OUT.connect, 'socket']);
    const sent = client.do(Call.opened).find(is(OUT.send));
    expect(decode(sent?.[1] ?? new Uint8Array())).toEqual([
      0,
      [1, 1, expect.stringMatching(/^threadmill-js\/\d/)],
    ]);
    const welcomed = client.do(Call.received, 0, [frame(0, 1, 'node', 15_000, 'user')]);
    expect(welcomed).toContainEqual([OUT.status, { connection: 'live', mode: 'full' }]);
    const told = client.do(Call.received, 0, [frame(13, 2)]);
    expect(told).toContainEqual([OUT.status, { connection: 'live', mode: 'read-only' }]);
  });

  it('opens with a window, follows it from there, and joins an older page to it', () => {
    const client = new Client();
    const [request, path] = client.opened();
    expect(path).toBe('/threads/t/messages?anchor=tip&before=50&after=0');
    const shown = viewed(client.answered(request, 90, 100));
    const reset = shown.find(patch => patch[0] === VIEW.reset);
    expect(reset?.[1].map(row => row.id)).toEqual(Array.from({ length: 10 }, (_, at) => `m${90 + at}`));
    expect(reset?.[1][0]).toMatchObject({
      role: 'user',
      depth: 90,
      parts: [{ type: 'text', text: 'message 90' }],
    });

    const fetch = client.do(Call.older, 1).find(is(OUT.fetchWindow));
    expect(fetch?.[2]).toBe('/threads/t/messages?anchor=depth%3A90&before=25&after=0&branch=main');
    const more = viewed(client.answered(fetch?.[1] ?? 0, 65, 90));
    const prepended = more.find(patch => patch[0] === VIEW.prepend);
    expect(prepended?.[1].map(row => row.depth)).toEqual(Array.from({ length: 25 }, (_, at) => 65 + at));
    expect(more).toContainEqual([VIEW.loaded, 'older', 25, null]);
    expect(client.core.call(Call.views, 0)).toBe(1);
  });

  it('hands on what the server says to do about a refused subscription', () => {
    const client = new Client();
    const sub = client.subscribed();
    const problem = [14, 'There is no thread for you.', null, 'It may have been deleted.'];
    const patches = viewed(client.do(Call.received, 0, [frame(8, sub, problem)]));
    const error = patches.find(patch => patch[0] === VIEW.head)?.[1].error as Problem;
    expect(error).toMatchObject({ code: 'thread_not_found', status: 404 });
    expect(new ProblemError(error).hint).toBe('It may have been deleted.');
  });

  it('has one hint for a server that did not answer', () => {
    const client = new Client();
    client.subscribed();
    const fetch = client.do(Call.older, 1).find(is(OUT.fetchWindow));
    const failed = client.do(Call.pageFailed, fetch?.[1] ?? 0);
    const loaded = viewed(failed).find(patch => patch[0] === VIEW.loaded);
    expect(new ProblemError(loaded?.[3] as Problem).hint).toBe('Check the connection and try again.');
  });

  it('gives memory back: a thousand windows take no more than ten', () => {
    const client = new Client();
    const sub = client.subscribed();
    client.do(Call.received, 0, [frame(3, sub)]);
    const [reset, window] = [frame(4, sub, 0), frame(2, sub, page(0, 100))];
    const replace = (times: number) => {
      for (let at = 0; at < times; at++) {
        client.do(Call.received, 0, [reset]);
        const shown = viewed(client.do(Call.received, 0, [window]));
        expect(shown[0]?.[0]).toBe(VIEW.reset);
      }
      return module.bytes;
    };
    const few = replace(10);
    expect(replace(1_000)).toBe(few);
  });
});
