//! One graph: uPlot draws the lines; heading, legend and what a screen reader hears are the page's. Its place has one
//! height, so nothing moves when it is drawn or when its numbers change.

import 'uplot/dist/uPlot.min.css';
import { memo, useEffect, useMemo, useRef, useState } from 'react';
import UPlot from 'uplot';
import type { History } from '../data/series';
import { amount, clock, dayOf, type Unit } from '../words/format';
import { alone } from './alone';
import { inkOf, onTheme, resolved } from './inks';
import { newest, type Panel } from './panels';

const HEIGHT = 132;
const DAY = 86_400;
const DASHES = [[], [5, 3], [2, 2]];

/** A short form for the axis: no more figures than tell a line from the next. */
function axisWords(unit: Unit): (value: number) => string {
  return value =>
    value === 0
      ? '0'
      : amount(value, unit)
          .replace('/s', '')
          .replace(/\.0+(?= |$)/, '');
}

function optionsOf(panel: Panel, width: number, point: (at: number | null) => void): UPlot.Options {
  const grid = { stroke: () => resolved('--line'), width: 1 };
  const axis = {
    stroke: () => resolved('--ink-faint'),
    font: '11px system-ui',
    grid,
    ticks: { show: false },
  };
  return {
    width,
    height: HEIGHT,
    legend: { show: false },
    padding: [8, 18, 0, 0],
    cursor: {
      sync: { key: 'ops' },
      y: false,
      drag: { x: false, y: false },
      points: { size: 6 },
    },
    scales: {
      y: { range: (_, least, most) => [Math.min(0, least ?? 0), Math.max(panel.least, (most ?? 0) * 1.08)] },
    },
    axes: [
      {
        ...axis,
        size: 24,
        space: 70,
        ...(panel.days && { incrs: [1, 2, 7, 14, 28].map(days => days * DAY) }),
        values: (_, times) => times.map(time => timeWords(panel, time).slice(0, panel.days ? undefined : 5)),
      },
      { ...axis, size: 60, space: 32, values: (_, values) => values.map(axisWords(panel.unit)) },
    ],
    series: [
      {},
      ...panel.traces.map(({ label, ink }, at) => ({
        label,
        stroke: () => inkOf(ink),
        width: 1.5,
        dash: DASHES[at] ?? [],
        // A point with nothing on either side would be a line of no length.
        points: {
          show: true,
          size: 4,
          fill: () => inkOf(ink),
          filter: (plot: UPlot, at: number) => alone(plot.data[at] ?? []),
        },
      })),
    ],
    hooks: { setLegend: [plot => point(plot.legend.idx ?? null)] },
  };
}

export const Graph = memo(function Graph({ panel, history }: { panel: Panel; history: History }) {
  const data = useMemo(() => panel.traces.map(({ of }) => of(history)), [panel, history]);
  const [pointed, setPointed] = useState<number | null>(null);
  const place = usePlot(panel, history, data, setPointed);
  const time = pointed === null ? undefined : history.times[pointed];
  return (
    <figure className="graph">
      <figcaption>
        <h3>{panel.title}</h3>
        <ul className="legend">
          {panel.traces.map(({ label, ink }, at) => (
            <li key={label}>
              <svg viewBox="0 0 16 4" width="16" height="4" aria-hidden="true" data-ink={ink}>
                <path d="M0 2h16" strokeDasharray={(DASHES[at] ?? []).join(' ')} />
              </svg>
              {label}
              <b>{amount(valueAt(data[at], pointed), panel.unit)}</b>
            </li>
          ))}
          {time !== undefined && <li className="legend-time">{timeWords(panel, time)}</li>}
        </ul>
      </figcaption>
      <div className="plot" ref={place} role="img" aria-label={saidOf(panel, data)} />
    </figure>
  );
});

function timeWords({ days }: Panel, seconds: number): string {
  return days ? dayOf(seconds * 1_000) : clock(seconds * 1_000);
}

function valueAt(points: readonly (number | null)[] | undefined, at: number | null): number | null {
  if (!points) return null;
  return at === null ? newest(points) : (points[at] ?? null);
}

/** What the graph shows, in words. */
function saidOf({ title, traces, unit }: Panel, data: readonly (readonly (number | null)[])[]): string {
  const lines = traces.map(({ label }, at) => {
    const points = (data[at] ?? []).filter(point => point !== null);
    if (points.length === 0) return `${label}: nothing measured`;
    const last = amount(points.at(-1), unit);
    const [least, most] = [Math.min(...points), Math.max(...points)];
    return `${label}: ${last}, between ${amount(least, unit)} and ${amount(most, unit)}`;
  });
  return `${title}. ${lines.join('. ')}.`;
}

/** Keeps the drawing: made once, given new numbers, made wider and coloured anew when the page is. */
function usePlot(
  panel: Panel,
  history: History,
  data: readonly (readonly (number | null)[])[],
  point: (at: number | null) => void,
) {
  const place = useRef<HTMLDivElement>(null);
  const plot = useRef<UPlot>(undefined);
  useEffect(() => {
    const there = place.current;
    if (!there) return;
    const made = new UPlot(optionsOf(panel, Math.max(120, there.clientWidth), point), undefined, there);
    plot.current = made;
    const sized = new ResizeObserver(() => {
      const width = there.clientWidth;
      if (width > 0 && width !== made.width) made.setSize({ width, height: HEIGHT });
    });
    sized.observe(there);
    const themed = onTheme(() => made.redraw(false, true));
    return () => {
      themed();
      sized.disconnect();
      made.destroy();
      plot.current = undefined;
    };
  }, [panel, point]);
  useEffect(() => {
    // uPlot writes into none of them.
    plot.current?.setData([history.times, ...data] as UPlot.AlignedData);
  }, [history, data]);
  return place;
}
