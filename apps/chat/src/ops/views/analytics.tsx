//! How people use the page: sums of the days that are large enough to be shown, and how they went from day to day.

import { useMemo, useState } from 'react';
import { Graph } from '../charts/graph';
import type { Panel } from '../charts/panels';
import type { Fields } from '../data/fields';
import type { History } from '../data/series';
import { Answer } from '../parts/answer';
import { FactList } from '../parts/facts';
import { amount, plural } from '../words/format';
import { Bars } from './bars';

/** Milliseconds between two looks: days do not change fast. */
const EVERY = 30_000;
const CHOICES = [7, 30, 90];

interface Measure {
  readonly name: string;
  readonly title: string;
  readonly buckets: readonly string[];
}

interface Group {
  readonly day: string;
  readonly visitors: number;
  readonly counts: Fields;
}

interface Analytics {
  readonly on: boolean;
  readonly least: number;
  readonly hidden: number;
  readonly measures: readonly Measure[];
  readonly groups: readonly Group[];
  readonly sums: Fields;
}

const analyticsOf = (answer: Fields): Analytics => ({
  on: answer.flag('on'),
  least: answer.number('leastVisitors') ?? 0,
  hidden: answer.number('hiddenGroups') ?? 0,
  measures: answer.list('measures', measure => ({
    name: measure.text('name'),
    title: measure.text('title'),
    buckets: measure.values('buckets').filter(bucket => typeof bucket === 'string'),
  })),
  groups: answer.list('groups', group => ({
    day: group.text('day'),
    visitors: group.number('visitors') ?? 0,
    counts: group.inside('counts'),
  })),
  sums: answer.inside('sums'),
});

/** The buckets of a measure; what is no number counts as nothing. */
export function row(counts: Fields, name: string): readonly number[] {
  return counts.values(name).map(value => (typeof value === 'number' && value > 0 ? value : 0));
}

const sum = (values: readonly number[]) => values.reduce((a, b) => a + b, 0);
const share = (part: number, all: number) => (all > 0 ? part / all : null);

export function AnalyticsView() {
  const [days, setDays] = useState(30);
  return (
    <section aria-labelledby="analytics">
      <div className="section-head">
        <h2 id="analytics">Analytics</h2>
        <fieldset className="choices">
          <legend className="visually-hidden">How far back</legend>
          {CHOICES.map(choice => (
            <label key={choice}>
              <input type="radio" name="days" checked={choice === days} onChange={() => setDays(choice)} />
              {choice} days
            </label>
          ))}
        </fieldset>
      </div>
      <Answer
        key={days}
        path={`analytics?days=${days}`}
        read={analyticsOf}
        everyMs={EVERY}
        off="This node has no analytics."
      >
        {data => <Shown data={data} />}
      </Answer>
    </section>
  );
}

function Shown({ data }: { data: Analytics }) {
  const { on, least, hidden, measures, groups, sums } = data;
  return (
    <>
      {!on && (
        <p className="quiet">
          Nothing is counted: it is off. Set <code>[analytics] enabled = true</code> or{' '}
          <code>THREADMILL_ANALYTICS=true</code>. What was counted before is shown as long as it is kept.
        </p>
      )}
      <p className="quiet">
        Numbers of whole days (UTC) of a tenant, without a text or an id. Days with fewer than {least}{' '}
        visitors are not shown{hidden > 0 && ` (${plural(hidden, 'group')} now)`}, and no sum has them.
        Readers whose browser says Do Not Track or Global Privacy Control are not counted.
      </p>
      {groups.length === 0 ? (
        <p className="quiet">No day has enough visitors yet.</p>
      ) : (
        <>
          <FactList facts={factsOf(sums, measures)} />
          <Daily groups={groups} />
          <h3>How it spreads</h3>
          <div className="graphs">
            {measures
              .filter(({ name }) => name !== 'visits' && sum(row(sums, name)) > 0)
              .map(({ name, title, buckets }) => (
                <Bars
                  key={name}
                  title={title}
                  buckets={buckets}
                  values={row(sums, name)}
                  unit={name.endsWith('Bytes') ? 'bytes' : 'count'}
                  parts={!name.startsWith('prefetch')}
                />
              ))}
          </div>
        </>
      )}
    </>
  );
}

/** The middle one of what is in buckets: the name of its bucket. */
export function middle(values: readonly number[], buckets: readonly string[]): string {
  let left = sum(values) / 2;
  const at = values.findIndex(value => {
    left -= value;
    return left <= 0;
  });
  return sum(values) === 0 ? '–' : (buckets[at] ?? '–');
}

function factsOf(sums: Fields, measures: readonly Measure[]) {
  const [hits = 0, misses = 0, fetched = 0] = row(sums, 'prefetch');
  const [came = 0, used = 0] = row(sums, 'prefetchBytes');
  const ms = (name: string) => {
    const buckets = measures.find(measure => measure.name === name)?.buckets ?? [];
    const found = middle(row(sums, name), buckets);
    return found === '–' || found === 'more' ? found : `≤ ${found} ms`;
  };
  return [
    ['Pages opened', amount(sum(row(sums, 'visits')), 'count')],
    ['Switches', amount(sum(row(sums, 'switches')), 'count')],
    ['Fetched ahead in time', amount(share(hits, hits + misses), 'share')],
    ['Of what was fetched, used', amount(share(hits, fetched), 'share')],
    ['Of those bytes', amount(share(used, came), 'share')],
    ['Half of switches, prefetching', ms('switchWith')],
    ['Half of switches, without', ms('switchWithout')],
  ] as const;
}

const PANEL = { unit: 'count', least: 1, days: true, metrics: [] } as const;

/** Days as graphs of whole days. */
function Daily({ groups }: { groups: readonly Group[] }) {
  const { history, panels } = useMemo(() => daily(groups), [groups]);
  if (history.times.length < 2) return null;
  return (
    <div className="graphs">
      {panels.map(panel => (
        <Graph key={panel.id} panel={panel} history={history} />
      ))}
    </div>
  );
}

function daily(groups: readonly Group[]): { history: History; panels: readonly Panel[] } {
  const names = [...new Set(groups.map(({ day }) => day))].sort();
  const of = (read: (group: Group) => number) =>
    names.map(name => sum(groups.filter(({ day }) => day === name).map(read)));
  const history: History = {
    times: names.map(day => Date.parse(`${day}T00:00:00Z`) / 1_000),
    lines: [],
    stepSeconds: 86_400,
  };
  const panel = (id: string, title: string, label: string, points: readonly number[]): Panel => ({
    ...PANEL,
    id,
    title,
    traces: [{ label, ink: 0, of: () => points }],
  });
  return {
    history,
    panels: [
      panel(
        'visitors',
        'Visitors a day',
        'visitors',
        of(({ visitors }) => visitors),
      ),
      panel(
        'switches',
        'Switches a day',
        'switches',
        of(({ counts }) => sum(row(counts, 'switches'))),
      ),
    ],
  };
}
