//! What a client reports of itself: numbers alone, within bounds, only where it is wanted, and until nobody takes it.

// @vitest-environment happy-dom

import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { type Reporting, startReports } from '../src/rum/index.js';
import { hearGauges, PageGauges } from '../src/rum/page.js';
import { SAMPLES, Samples } from '../src/rum/samples.js';
import { Access } from '../src/transport/access.js';
import { gauges, measured } from '../src/words/gauge.js';
import type { Client, ClientOptions, ServerInfo } from '../src/words/types.js';

const MINUTE = 60_000;

interface Stage {
  readonly sent: { readonly path: string; readonly body: string; readonly keepalive: boolean }[];
  readonly closing: AbortController;
  readonly metrics: { bytesHeld: number; connections: number; rowsHeld: number[] };
  answer: number;
}

/** A client that holds two threads, at a server that notes what it is sent. */
function stage(
  info: Partial<ServerInfo> | undefined,
  options: Partial<ClientOptions> = {},
): [Reporting, Stage] {
  const stage: Stage = {
    sent: [],
    closing: new AbortController(),
    metrics: { bytesHeld: 1_000, connections: 1, rowsHeld: [50, 7] },
    answer: 202,
  };
  vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
    stage.sent.push({ path: url, body: `${init.body}`, keepalive: init.keepalive === true });
    return new Response('{}', { status: stage.answer });
  });
  const client = {
    info: () => (info ? Promise.resolve(info) : Promise.reject(new Error('away'))),
    metrics: () => stage.metrics,
    status: { getSnapshot: () => ({ engine: 'sync' }) },
  } as unknown as Client;
  const access = new Access({ url: 'http://server.test', ...options });
  return [{ client, access, closed: stage.closing.signal, gauges }, stage];
}

const reports = ({ sent }: Stage) => sent.map(({ body }) => JSON.parse(body));

beforeEach(() => {
  vi.useFakeTimers();
});

afterEach(() => {
  vi.useRealTimers();
  vi.unstubAllGlobals();
});

describe('a report', () => {
  test('is what the client holds, a sample every 15 seconds, a report a minute', async () => {
    const [client, at] = stage({});
    await startReports(client);
    await vi.advanceTimersByTimeAsync(5 * MINUTE);
    expect(at.sent.every(({ path }) => path === 'http://server.test/v1/rum')).toBe(true);
    expect(at.sent.length).toBeGreaterThanOrEqual(4);
    expect(at.sent.length).toBeLessThanOrEqual(6);
    const [first] = reports(at);
    expect(first.engine).toBe('core');
    expect(first.samples[0]).toEqual({
      coreBytes: 1_000,
      threads: [
        { rows: 50, bytes: 500 },
        { rows: 7, bytes: 500 },
      ],
      reconnects: 0,
    });
    const samples = reports(at).flatMap(({ samples }) => samples);
    expect(samples.length).toBeGreaterThanOrEqual(16);
    at.closing.abort();
  });

  test('counts connections past the first once', async () => {
    const [client, at] = stage({});
    await startReports(client);
    at.metrics.connections = 4;
    await vi.advanceTimersByTimeAsync(2 * MINUTE);
    const counted = reports(at).flatMap(({ samples }) =>
      samples.map(({ reconnects }: { reconnects: number }) => reconnects),
    );
    expect(counted.reduce((sum: number, one: number) => sum + one, 0)).toBe(3);
    at.closing.abort();
  });

  test.each([
    ['the server wants none', { rum: 'off' as const }, undefined, false],
    ['the page wants none', { rum: 'page' as const }, false, false],
    ['nobody knows what the server wants', undefined, undefined, false],
    ['an older server says nothing', {}, undefined, true],
    ['the page wants it, whatever the server says', { rum: 'off' as const }, true, true],
  ])('if %s: %s', async (_, info, wanted, want) => {
    const [client, at] = stage(info);
    await startReports(client, wanted);
    await vi.advanceTimersByTimeAsync(3 * MINUTE);
    expect(at.sent.length > 0).toBe(want);
    at.closing.abort();
  });

  test('has how the page feels only where that is wanted', async () => {
    const [client, at] = stage({ rum: 'page' });
    await startReports(client);
    measured('render', 2);
    measured('render', 4);
    measured('load', 210.04);
    await vi.advanceTimersByTimeAsync(2 * MINUTE);
    expect(reports(at)[0].samples[0]).toMatchObject({ renderMs: 3, loadMs: 210, longTasks: 0 });
    expect(reports(at)[0].samples[1]).not.toHaveProperty('renderMs');
    at.closing.abort();
    const [plain, other] = stage({ rum: 'core' });
    await startReports(plain);
    measured('render', 2);
    await vi.advanceTimersByTimeAsync(2 * MINUTE);
    expect(JSON.stringify(reports(other))).not.toMatch(/Ms|longTasks|heap/);
    other.closing.abort();
  });

  test('ends with the client, and at a server that takes none; one that is busy is asked again', async () => {
    for (const [answer, goesOn] of [
      [404, false],
      [401, false],
      [429, true],
      [503, true],
    ] as const) {
      const [client, at] = stage({});
      at.answer = answer;
      await startReports(client);
      await vi.advanceTimersByTimeAsync(10 * MINUTE);
      expect(at.sent.length > 1, `${answer}`).toBe(goesOn);
      at.closing.abort();
      const before = at.sent.length;
      await vi.advanceTimersByTimeAsync(10 * MINUTE);
      expect(at.sent.length).toBe(before);
    }
  });

  test('goes with the page: by a beacon, or with its credential by a request that outlives it', async () => {
    const beacons: string[] = [];
    vi.stubGlobal('navigator', {
      sendBeacon: (url: string, body: Blob) => {
        beacons.push(`${url} ${body.type} ${body.size > 20}`);
        return true;
      },
    });
    const [plain, one] = stage({});
    await startReports(plain);
    window.dispatchEvent(new Event('pagehide'));
    expect(beacons).toEqual(['http://server.test/v1/rum application/json true']);
    expect(one.sent).toEqual([]);
    one.closing.abort();
    const [named, other] = stage({}, { user: 'ada' });
    await startReports(named);
    window.dispatchEvent(new Event('pagehide'));
    await vi.advanceTimersByTimeAsync(0);
    expect(beacons).toHaveLength(1);
    expect(other.sent).toMatchObject([{ keepalive: true }]);
    other.closing.abort();
  });
});

describe('samples', () => {
  test('are bounded in number and in bytes, the newest kept', () => {
    const samples = new Samples();
    for (let n = 0; n < 1_000; n += 1) samples.add({ coreBytes: n });
    const { samples: kept } = JSON.parse(samples.take('direct'));
    expect(kept).toHaveLength(SAMPLES);
    expect(kept.at(-1)).toEqual({ coreBytes: 999 });
    expect(samples.isEmpty).toBe(true);
    const threads = Array.from({ length: 100 }, () => ({ rows: 123_456_789, bytes: 123_456_789 }));
    for (let n = 0; n < 100; n += 1) samples.add({ coreBytes: n, threads });
    const body = samples.take('core');
    expect(body.length).toBeLessThan(16_384);
    expect(JSON.parse(body).samples.at(-1).coreBytes).toBe(99);
    expect(JSON.parse(body).samples[0].threads.length).toBeLessThanOrEqual(64);
  });

  test('hold numbers in tenths, and nothing that is none', () => {
    const samples = new Samples();
    samples.add({
      renderMs: 1.23456,
      inpMs: Number.NaN,
      loadMs: -5,
      heapBytes: Number.POSITIVE_INFINITY,
      threads: [],
    });
    samples.add({});
    expect(JSON.parse(samples.take('core')).samples).toEqual([{ renderMs: 1.2 }]);
  });
});

test('a load that was measured before anybody listened is told to who does, once', () => {
  measured('load', 900);
  measured('render', 5);
  measured('load', 300);
  const heard: unknown[] = [];
  hearGauges(gauges, (gauge, ms) => heard.push([gauge, ms]));
  hearGauges(gauges, (gauge, ms) => heard.push([gauge, ms]));
  expect(heard).toEqual([['load', 300]]);
  gauges.hears = undefined;
});

test('a scroll is timed to the frame after it, and a hidden page times none', async () => {
  const frames: (() => void)[] = [];
  vi.stubGlobal('requestAnimationFrame', (frame: () => void) => frames.push(frame));
  const over = new AbortController();
  const page = new PageGauges(over.signal, gauges);
  document.dispatchEvent(new Event('scroll'));
  document.dispatchEvent(new Event('scroll'));
  expect(frames).toHaveLength(1);
  await vi.advanceTimersByTimeAsync(20);
  frames[0]?.();
  expect(page.take().scrollMs).toBeGreaterThanOrEqual(0);
  expect(page.take()).not.toHaveProperty('scrollMs');
  document.dispatchEvent(new Event('scroll'));
  document.dispatchEvent(new Event('visibilitychange'));
  frames[1]?.();
  expect(page.take()).not.toHaveProperty('scrollMs');
  over.abort();
});
