//! All graphs, over the same minutes.

import { useMemo, useState } from 'react';
import { pollOf, usePoll } from '../data/polls';
import { historyOf, lastMinutes } from '../data/series';
import { plural } from '../words/format';
import { Graph } from './graph';
import { drawable, METRICS, PANELS } from './panels';

/** The node measures once in ten seconds. */
const EVERY = 10_000;
const HOUR = 60;
const CHOICES = [10, 30, HOUR];

const PATH = `series?${new URLSearchParams({ names: METRICS.join(), minutes: String(HOUR) })}`;

export function Graphs() {
  const { data, failure } = usePoll(pollOf(PATH, historyOf, EVERY));
  const [minutes, setMinutes] = useState(HOUR);
  // The same object as long as the numbers are the same: the page renders once a second, and graphs need not.
  const shown = useMemo(() => data && lastMinutes(data, minutes), [data, minutes]);
  const panels = shown ? drawable(shown) : [];
  return (
    <section aria-labelledby="graphs">
      <div className="section-head">
        <h2 id="graphs">Graphs</h2>
        <fieldset className="choices">
          <legend className="visually-hidden">How far back</legend>
          {CHOICES.map(choice => (
            <label key={choice}>
              <input
                type="radio"
                name="minutes"
                checked={choice === minutes}
                onChange={() => setMinutes(choice)}
              />
              {choice} min
            </label>
          ))}
        </fieldset>
      </div>
      {shown && panels.length === 0 && (
        <p className="quiet">Nothing was measured yet: the first points come within ten seconds.</p>
      )}
      {!shown && failure && <p className="quiet">The series cannot be had: {failure.message}</p>}
      <div className="graphs">
        {shown
          ? panels.map(panel => <Graph key={panel.id} panel={panel} history={shown} />)
          : PANELS.map(({ id }) => <div key={id} className="graph graph-place" />)}
      </div>
      {shown && panels.length > 0 && panels.length < PANELS.length && (
        <p className="quiet">
          {plural(PANELS.length - panels.length, 'graph')} of what this node does not measure{' '}
          {PANELS.length - panels.length === 1 ? 'is' : 'are'} left out.
        </p>
      )}
    </section>
  );
}
