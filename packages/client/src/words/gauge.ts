//! Times that a page measures of itself, for whoever listens: nobody, unless the page's numbers are reported.

/** `render`: a message; `load`: until a thread that was opened is shown. Milliseconds both. */
export type Gauge = 'render' | 'load';

export type HearGauge = (gauge: Gauge, ms: number) => void;

let hears: HearGauge | undefined;

/** Tells a time to whoever listens. Costs a call where nobody does. */
export function measured(gauge: Gauge, ms: number): void {
  hears?.(gauge, ms);
}

/** Listens in place of who did before. */
export function hearGauges(hear: HearGauge | undefined): void {
  hears = hear;
}
