//! The graphs: what each shows, out of which series. A panel whose metrics the node does not export is left out.

import type { History, Line } from '../data/series';
import type { Unit } from '../words/format';

type Points = readonly (number | null)[];
type Labels = Readonly<Record<string, string>>;

/** One line of a graph. */
export interface Trace {
  readonly label: string;
  /** What ink it has, by number; lines of a graph differ in their dashes as well. */
  readonly ink: 0 | 1 | 2;
  readonly of: (history: History) => Points;
}

/** One graph. */
export interface Panel {
  readonly id: string;
  readonly title: string;
  readonly unit: Unit;
  /** Metrics without which there is nothing to draw. */
  readonly metrics: readonly string[];
  readonly traces: readonly Trace[];
  /** The least that the top of its axis stands for, so that noise about nothing is not drawn as a mountain. */
  readonly least: number;
  /** Its points are whole days, and not moments. */
  readonly days?: boolean;
}

function matches(line: Line, name: string, stat: string, labels: Labels): boolean {
  return (
    line.name === name &&
    line.stat === stat &&
    Object.entries(labels).every(([label, value]) => line.labels[label] === value)
  );
}

/** Combines the series that match, point by point; nothing where none has a point. */
function combined(
  history: History,
  name: string,
  stat: string,
  labels: Labels,
  join: (one: number, other: number) => number,
): Points {
  const lines = history.lines.filter(line => matches(line, name, stat, labels));
  return history.times.map((_, at) =>
    lines.reduce<number | null>((sum, { points }) => {
      const point = points[at] ?? null;
      return point === null ? sum : sum === null ? point : join(sum, point);
    }, null),
  );
}

/** The sum of what matches. */
export function sum(name: string, stat: string, labels: Labels = {}) {
  return (history: History): Points => combined(history, name, stat, labels, (one, other) => one + other);
}

/** The worst of what matches: quantiles cannot be added. */
export function worst(name: string, stat: string, labels: Labels = {}) {
  return (history: History): Points => combined(history, name, stat, labels, Math.max);
}

type Reading = (history: History) => Points;

/** A share of rates; nothing where nothing happened. */
export function share(parts: readonly Reading[], wholes: readonly Reading[]): Reading {
  return history => {
    const total = (readings: readonly Reading[]) => {
      const all = readings.map(reading => reading(history));
      return (at: number) => all.reduce((sum, points) => sum + (points[at] ?? 0), 0);
    };
    const part = total(parts);
    const whole = total(wholes);
    return history.times.map((_, at) => (whole(at) > 0 ? Math.min(1, part(at) / whole(at)) : null));
  };
}

const KEPT = 'threadmill_kept_windows_total';
const HOT = 'threadmill_hot_reads_total';
const HIT = { outcome: 'hit' };

/** Half and the slowest hundredth of a histogram. */
function quantiles(metric: string): readonly Trace[] {
  return [
    { label: 'half', ink: 0, of: worst(metric, 'p50') },
    { label: '99 %', ink: 1, of: worst(metric, 'p99') },
  ];
}

export const PANELS: readonly Panel[] = [
  {
    id: 'answers',
    title: 'Requests',
    unit: 'rate',
    metrics: ['threadmill_answers_total'],
    least: 1,
    traces: [
      { label: 'served', ink: 0, of: sum('threadmill_answers_total', 'rate', { status: '2xx' }) },
      { label: 'refused', ink: 1, of: sum('threadmill_answers_total', 'rate', { status: '4xx' }) },
      { label: 'failed', ink: 2, of: sum('threadmill_answers_total', 'rate', { status: '5xx' }) },
    ],
  },
  {
    id: 'first-token',
    title: 'Time to the first word',
    unit: 'seconds',
    metrics: ['threadmill_first_token_seconds'],
    least: 0.1,
    traces: quantiles('threadmill_first_token_seconds'),
  },
  {
    id: 'deliver',
    title: 'Published to delivered',
    unit: 'seconds',
    metrics: ['threadmill_deliver_lag_seconds'],
    least: 0.01,
    traces: quantiles('threadmill_deliver_lag_seconds'),
  },
  {
    id: 'commit',
    title: 'Commits',
    unit: 'seconds',
    metrics: ['threadmill_commit_seconds'],
    least: 0.01,
    traces: quantiles('threadmill_commit_seconds'),
  },
  {
    id: 'operations',
    title: 'Operations by tier',
    unit: 'rate',
    metrics: ['threadmill_operations_total'],
    least: 1,
    traces: [
      { label: 'durable', ink: 0, of: sum('threadmill_operations_total', 'rate', { tier: 'durable' }) },
      { label: 'hot', ink: 1, of: sum('threadmill_operations_total', 'rate', { tier: 'hot' }) },
    ],
  },
  {
    id: 'hits',
    title: 'Reads from memory or the hot tier',
    unit: 'share',
    metrics: [KEPT],
    least: 1,
    traces: [
      {
        label: 'hits',
        ink: 0,
        of: share(
          [sum(KEPT, 'rate', HIT), sum('threadmill_hot_windows_total', 'rate', HIT), sum(HOT, 'rate', HIT)],
          [sum(KEPT, 'rate'), sum(HOT, 'rate')],
        ),
      },
      {
        label: 'fallbacks',
        ink: 2,
        of: share([sum(HOT, 'rate', { outcome: 'fallback' })], [sum(HOT, 'rate')]),
      },
    ],
  },
  {
    id: 'open',
    title: 'Connections and runs',
    unit: 'count',
    metrics: ['threadmill_connections'],
    least: 5,
    traces: [
      { label: 'connections', ink: 0, of: sum('threadmill_connections', 'value') },
      { label: 'runs', ink: 1, of: sum('threadmill_runs', 'value') },
    ],
  },
  {
    id: 'outcomes',
    title: 'Ends of runs',
    unit: 'rate',
    metrics: ['threadmill_run_outcomes_total'],
    least: 0.1,
    traces: [
      { label: 'all', ink: 0, of: sum('threadmill_run_outcomes_total', 'rate') },
      { label: 'failed', ink: 2, of: sum('threadmill_run_outcomes_total', 'rate', { outcome: 'failed' }) },
    ],
  },
  {
    id: 'locks',
    title: 'Waiting for locks',
    unit: 'seconds',
    metrics: ['threadmill_lock_wait_seconds'],
    least: 0.01,
    traces: quantiles('threadmill_lock_wait_seconds'),
  },
  {
    id: 'memory',
    title: 'Memory of the process',
    unit: 'bytes',
    metrics: ['process_resident_memory_bytes'],
    least: 50e6,
    traces: [
      { label: 'in use', ink: 0, of: sum('process_resident_memory_bytes', 'value') },
      { label: 'unsent', ink: 1, of: sum('threadmill_unsent_bytes', 'value') },
    ],
  },
  {
    id: 'readers',
    title: 'Readers that started over or were slow',
    unit: 'rate',
    metrics: ['threadmill_resets_total'],
    least: 0.1,
    traces: [
      { label: 'resets', ink: 0, of: sum('threadmill_resets_total', 'rate') },
      { label: 'closed', ink: 2, of: sum('threadmill_slow_closes_total', 'rate') },
    ],
  },
  {
    id: 'late',
    title: 'How late this node’s timers are',
    unit: 'seconds',
    metrics: ['threadmill_runtime_late_seconds'],
    least: 0.01,
    traces: quantiles('threadmill_runtime_late_seconds'),
  },
];

/** Metrics that belong to no panel's condition, but to its lines. */
const BESIDE = [
  'threadmill_hot_windows_total',
  HOT,
  'threadmill_runs',
  'threadmill_unsent_bytes',
  'threadmill_slow_closes_total',
];

/** All that is asked for: fewer names than the server takes in one question. */
export const METRICS: readonly string[] = [
  ...new Set([...PANELS.flatMap(({ metrics }) => metrics), ...BESIDE]),
];

/** Panels of which there is something. */
export function drawable(history: History): readonly Panel[] {
  const names = new Set(history.lines.map(({ name }) => name));
  return PANELS.filter(({ metrics }) => metrics.every(metric => names.has(metric)));
}

/** The newest point that was measured. */
export function newest(points: Points): number | null {
  return points.findLast(point => point !== null) ?? null;
}
