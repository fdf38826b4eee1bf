//! Reports what a client holds, and where it is switched on how its page feels: a look every 15 seconds while the page is
//! seen, a report a minute and one when it goes. Nothing in it names anybody or anything. A server that takes none ends
//! it; what gets no answer is lost.

import type { Access } from '../transport/access.js';
import type { Gauges } from '../words/gauge.js';
import type { Client } from '../words/types.js';
import { PageGauges } from './page.js';
import { type Sample, Samples } from './samples.js';

/** Milliseconds between two looks, and between two reports: a user may make one in five seconds, in all tabs. */
const LOOK = 15_000;
const REPORT = 60_000;

/** What is reported: `core` is what the client holds, `page` how the page feels as well. */
export type Reported = 'off' | 'core' | 'page';

/** What reports are made of, and sent with. */
export interface Reporting {
  readonly client: Client;
  readonly access: Access;
  /** Aborted when the client is closed. */
  readonly closed: AbortSignal;
  /** What the page measures of itself. */
  readonly gauges: Gauges;
}

/** Reports until the client ends. `wanted` is the page's own choice; without one it is the server's. */
export async function startReports(reporting: Reporting, wanted?: boolean): Promise<void> {
  const reported = wanted === undefined ? await toldBy(reporting.client) : wanted ? 'page' : 'off';
  if (reported !== 'off' && !reporting.closed.aborted) new Reporter(reporting, reported);
}

async function toldBy(client: Client): Promise<Reported> {
  const info = await client.info().catch(() => undefined);
  if (!info) return 'off';
  return info.rum === 'off' || info.rum === 'page' ? info.rum : 'core';
}

class Reporter {
  readonly #client: Client;
  readonly #access: Access;
  readonly #samples = new Samples();
  readonly #end = new AbortController();
  readonly #page: PageGauges | undefined;
  #connections = 1;

  constructor({ client, access, closed, gauges }: Reporting, reported: Reported) {
    this.#client = client;
    this.#access = access;
    const { signal } = this.#end;
    if (reported === 'page') this.#page = new PageGauges(signal, gauges);
    const look = setInterval(() => this.#look(), LOOK);
    // Tabs that were opened together do not report together.
    let report: ReturnType<typeof setTimeout>;
    const next = () => {
      report = setTimeout(
        () => {
          void this.#send();
          next();
        },
        REPORT * (0.75 + Math.random() / 2),
      );
    };
    next();
    signal.addEventListener('abort', () => {
      clearInterval(look);
      clearTimeout(report);
    });
    const leave = () => {
      this.#look();
      this.#leave();
    };
    globalThis.addEventListener?.('pagehide', leave, { signal });
    for (const over of [closed, access.ended])
      over.addEventListener('abort', () => this.#end.abort(), { signal });
  }

  #look(): void {
    // Nothing is drawn or typed while nobody sees the page.
    if (globalThis.document?.visibilityState !== 'hidden') this.#samples.add(this.#sample());
  }

  #sample(): Sample {
    const { bytesHeld, connections, rowsHeld } = this.#client.metrics();
    const reconnects = Math.max(0, connections - this.#connections);
    this.#connections = Math.max(this.#connections, connections);
    // The core counts its bytes in one sum: a thread's share of it is a mean.
    const bytes = bytesHeld / rowsHeld.length;
    const threads = rowsHeld.map(rows => (bytesHeld > 0 ? { rows, bytes } : { rows }));
    return { ...(bytesHeld > 0 && { coreBytes: bytesHeld }), threads, reconnects, ...this.#page?.take() };
  }

  get #engine(): 'core' | 'direct' {
    return this.#client.status.getSnapshot().engine === 'sync' ? 'core' : 'direct';
  }

  async #send(): Promise<void> {
    if (this.#samples.isEmpty) return;
    const response = await this.#post(false).catch(() => undefined);
    // It has no such route, or this user may not.
    if (response && response.status >= 400 && response.status < 429) this.#end.abort();
  }

  /** The page goes: whoever carries the report must outlive it. */
  #leave(): void {
    if (this.#samples.isEmpty) return;
    const isPlain = this.#access.isPlain && typeof navigator.sendBeacon === 'function';
    // A beacon has no headers: it cannot say who the user is.
    if (!isPlain) return void this.#post(true).catch(() => {});
    const body = new Blob([this.#samples.take(this.#engine)], { type: 'application/json' });
    navigator.sendBeacon(`${this.#access.base}/rum`, body);
  }

  #post(keepalive: boolean): Promise<Response> {
    const headers = { 'content-type': 'application/json' };
    const body = this.#samples.take(this.#engine);
    return this.#access.fetch('/rum', { method: 'POST', headers, keepalive, body });
  }
}
