//! How the page feels, since the last look: the slowest input, long tasks, the slowest frame after a scroll, the heap, what
//! the page measured of itself, and how long a word takes from one tab to another.

import type { Gauge, Gauges, HearGauge } from '../words/gauge.js';
import type { Sample } from './samples.js';

/** Milliseconds: shorter inputs are not told of. */
const INPUT = 16;
const CHANNEL = 'threadmill.rum';

/** What browsers have beside the standard. */
interface Memory {
  readonly memory?: { readonly usedJSHeapSize: number };
}

interface Interaction extends PerformanceEntry {
  readonly interactionId?: number;
}

type Times = { -readonly [K in 'renderMs' | 'inpMs' | 'crossTabMs' | 'loadMs' | 'scrollMs']?: number };

/** Milliseconds since 1970, finer than a millisecond, by the same clock in every tab. */
const clock = () => performance.timeOrigin + performance.now();

const FIELD: Readonly<Record<Gauge, 'renderMs' | 'loadMs'>> = { render: 'renderMs', load: 'loadMs' };

/** Listens in place of who did before, and is told the last `load` that nobody heard. */
export function hearGauges(gauges: Gauges, hears: HearGauge): void {
  gauges.hears = hears;
  if (gauges.unheard !== undefined) hears('load', gauges.unheard);
  gauges.unheard = undefined;
}

export class PageGauges {
  #times: Times = {};
  #longTasks = 0;
  #renders = { count: 0, sum: 0 };
  #channel: BroadcastChannel | undefined;

  constructor(signal: AbortSignal, gauges: Gauges) {
    hearGauges(gauges, (gauge, ms) => this.#hear(gauge, ms));
    signal.addEventListener('abort', () => {
      gauges.hears = undefined;
      this.#channel?.close();
    });
    this.#watch('event', signal, entry => {
      if ((entry as Interaction).interactionId) this.#worst('inpMs', entry.duration);
    });
    this.#watch('longtask', signal, () => {
      this.#longTasks += 1;
    });
    this.#watchScroll(signal);
    this.#openChannel();
  }

  /** What was measured since the last time. */
  take(): Sample {
    const { count, sum } = this.#renders;
    const heap = (performance as Memory).memory?.usedJSHeapSize;
    const sample: Sample = {
      ...this.#times,
      ...(count > 0 && { renderMs: sum / count }),
      ...(heap !== undefined && { heapBytes: heap }),
      longTasks: this.#longTasks,
    };
    this.#times = {};
    this.#longTasks = 0;
    this.#renders = { count: 0, sum: 0 };
    this.#channel?.postMessage(clock());
    return sample;
  }

  #worst(field: keyof Times, ms: number): void {
    this.#times[field] = Math.max(this.#times[field] ?? 0, ms);
  }

  #hear(gauge: Gauge, ms: number): void {
    if (gauge === 'render') this.#renders = { count: this.#renders.count + 1, sum: this.#renders.sum + ms };
    else this.#worst(FIELD[gauge], ms);
  }

  #watch(type: string, signal: AbortSignal, seen: (entry: PerformanceEntry) => void): void {
    // No browser has all kinds, and some have no observer.
    if (!globalThis.PerformanceObserver?.supportedEntryTypes?.includes(type)) return;
    const observer = new PerformanceObserver(list => list.getEntries().forEach(seen));
    observer.observe({ type, durationThreshold: INPUT } as PerformanceObserverInit);
    signal.addEventListener('abort', () => observer.disconnect());
  }

  /** From a scroll to the frame after it; one at a time. */
  #watchScroll(signal: AbortSignal): void {
    let since: number | undefined;
    const page = globalThis.document;
    page?.addEventListener?.(
      'scroll',
      ({ timeStamp }) => {
        if (since !== undefined || page.visibilityState === 'hidden') return;
        since = timeStamp;
        requestAnimationFrame(() => {
          if (since !== undefined) this.#worst('scrollMs', performance.now() - since);
          since = undefined;
        });
      },
      // What scrolls is seldom the document, and such an event is heard on its way down alone.
      { capture: true, passive: true, signal },
    );
    // Nothing is drawn while the page is hidden: the frame comes when it is shown again, and says nothing.
    const forget = () => {
      since = undefined;
    };
    page?.addEventListener?.('visibilitychange', forget, { signal });
  }

  #openChannel(): void {
    try {
      this.#channel = new BroadcastChannel(CHANNEL);
    } catch {
      // Some frames may have none.
      return;
    }
    this.#channel.onmessage = ({ data }) => {
      const ms = clock() - Number(data);
      // A clock that was set meanwhile, or a tab that slept.
      if (ms >= 0 && ms < 60_000) this.#worst('crossTabMs', ms);
    };
  }
}
