//! The first screen: is it well, and if not, what is wrong, whom it meets, since when, why, and what to do; then figures
//! and graphs.

import { Graphs } from '../charts/graphs';
import type { Fields } from '../data/fields';
import { type Summary, spreadOf, type Watched } from '../data/shapes';
import { type Fact, FactList } from '../parts/facts';
import { InsightCard } from '../parts/insight-card';
import { Table } from '../parts/table';
import { amount, plural, span, spans, unitOf } from '../words/format';
import { ordered } from '../words/verdict';

export function NowView({ summary }: { summary: Summary | undefined }) {
  const insights = ordered(summary?.insights ?? []);
  return (
    <>
      {insights.length > 0 && (
        <section aria-labelledby="wrong">
          <h2 id="wrong">{insights.length === 1 ? 'What is wrong now' : `What is wrong now, worst first`}</h2>
          <ul className="insights">
            {insights.map(insight => (
              <InsightCard key={insight.id} insight={insight} />
            ))}
          </ul>
        </section>
      )}
      <section aria-labelledby="figures">
        <h2 id="figures" className="visually-hidden">
          Figures
        </h2>
        <FactList className="tiles" facts={figuresOf(summary?.figures)} />
      </section>
      <Graphs />
      {summary && <WatchedList watched={summary.watched} windowSeconds={summary.windowSeconds} />}
    </>
  );
}

/** Half and the slowest hundredth, as two figures. */
function pair(fields: Fields | undefined, name: string): string {
  const { p50, p99 } = spreadOf(fields?.inside(name));
  return spans(p50, p99);
}

function figuresOf(figures: Fields | undefined): readonly Fact[] {
  const of = (name: string) => figures?.number(name) ?? null;
  const bytes = spreadOf(figures?.inside('threadBytes'));
  return [
    ['Connections', amount(of('connections'), 'count')],
    ['Live runs', amount(of('runs'), 'count')],
    ['Operations', amount(of('operationsPerSecond'), 'rate')],
    ['Requests that failed', amount(of('errorShare'), 'share')],
    ['First word, half · 99 %', pair(figures, 'firstTokenMs')],
    ['Delivery, half · 99 %', pair(figures, 'deliverLagMs')],
    ['Commit, half · 99 %', pair(figures, 'commitSyncMs')],
    ['Hot hit rate', amount(of('hitRate'), 'share')],
    ['Fallbacks', amount(of('fallbackShare'), 'share')],
    ['Hot tier up', amount(of('hotUptime'), 'share')],
    ['Locks in vain', amount(of('lockFailureShare'), 'share')],
    ['Memory', amount(of('residentBytes'), 'bytes')],
    ['Unsent', amount(of('unsentBytes'), 'bytes')],
    ['A thread in a browser', amount(bytes.p50, 'bytes')],
  ];
}

const STATES: ReadonlyMap<string, string> = new Map([
  ['ok', 'fine'],
  ['firing', 'wrong'],
  ['few', 'too few to judge'],
  ['none', 'not measured here'],
]);

function WatchedList({
  watched,
  windowSeconds,
}: {
  watched: readonly Watched[];
  windowSeconds: number | null;
}) {
  const judged = watched.filter(({ state }) => state === 'ok' || state === 'firing').length;
  return (
    <details className="watched">
      <summary>
        {plural(watched.length, 'concern')} watched, {judged} with enough to judge
        {windowSeconds === null ? '' : `, over ${span(windowSeconds * 1_000)}`}
      </summary>
      <Table
        label="Concerns that are watched"
        rows={watched}
        keyOf={({ id }) => id}
        none="None."
        columns={[
          { title: 'Concern', of: ({ title, id }) => <span title={id}>{title || id}</span>, wide: true },
          {
            title: 'State',
            of: ({ state }) => (
              <span className="state" data-state={state}>
                {STATES.get(state) ?? state}
              </span>
            ),
          },
          { title: 'Value', of: ({ value, unit }) => amount(value, unitOf(unit)), numeric: true },
          { title: 'Threshold', of: ({ threshold, unit }) => amount(threshold, unitOf(unit)), numeric: true },
          { title: 'Samples', of: ({ samples }) => amount(samples, 'count'), numeric: true },
        ]}
      />
    </details>
  );
}
