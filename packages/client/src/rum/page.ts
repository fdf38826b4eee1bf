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

type Times = { -readonly [K in 'inpMs' | 'crossTabMs' | 'loadMs' | 'switchMs' | 'scrollMs']?: number };

/** Milliseconds since 1970, finer than a millisecond, by the same clock in every tab. */
const clock = () => performance.timeOrigin + performance.now();

/** Gauges of which the worst is told; of the others the mean is. */
const WORST = { load: 'loadMs', switch: 'switchMs' } as const;
const MEAN = { render: 'renderMs', renders: 'renders' } as const;

/** Listens in place of who did before, and is told the last `load` that nobody heard. */
export function hearGauges(gauges: Gauges, hears: HearGauge): void {
  gauges.hears = hears;
  if (gauges.unheard !== undefined) hears('load', gauges.unheard);
  gauges.unheard = undefined;
}

export class PageGauges {
  #times: Times = {};
  #longTasks = 0;
  #means = { render: { count: 0, sum: 0 }, renders: { count: 0, sum: 0 } };
  #channel: BroadcastChannel | undefined;

  constructor(signal: AbortSignal, gauges: Gauges) {
    hearGauges(gauges, (gauge, value) => this.#hear(gauge, value));
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
    const heap = (performance as Memory).memory?.usedJSHeapSize;
    const sample: Sample = {
      ...this.#times,
      ...this.#mean('render'),
      ...this.#mean('renders'),
      ...(heap !== undefined && { heapBytes: heap }),
      longTasks: this.#longTasks,
    };
    this.#times = {};
    this.#longTasks = 0;
    this.#channel?.postMessage(clock());
    return sample;
  }

  #worst(field: keyof Times, ms: number): void {
    this.#times[field] = Math.max(this.#times[field] ?? 0, ms);
  }

  #hear(gauge: Gauge, value: number): void {
    if (gauge === 'load' || gauge === 'switch') {
      this.#worst(WORST[gauge], value);
      return;
    }
    const mean = this.#means[gauge];
    mean.count += 1;
    mean.sum += value;
  }

  #mean(gauge: keyof typeof MEAN): Sample {
    const { count, sum } = this.#means[gauge];
    this.#means[gauge] = { count: 0, sum: 0 };
    return count > 0 ? { [MEAN[gauge]]: sum / count } : {};
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
