//! Times that a page measures of itself, for whoever listens: nobody, unless the page's numbers are reported.

/**
 * Milliseconds: `render`: a message; `load`: until a thread that was opened is shown; `switch`: the same, where another was
 * open before. A number: `renders` of a message while it was written.
 */
export type Gauge = 'render' | 'load' | 'switch' | 'renders';

export type HearGauge = (gauge: Gauge, value: number) => void;

/** Who listens, and the last `load` that nobody heard: most threads are shown before anybody listens. */
export interface Gauges {
  hears?: HearGauge | undefined;
  unheard?: number | undefined;
}

export const gauges: Gauges = {};

/** Tells a time to whoever listens. Costs a call where nobody does. */
export function measured(gauge: Gauge, ms: number): void {
  if (gauges.hears) gauges.hears(gauge, ms);
  else if (gauge === 'load') gauges.unheard = ms;
}
