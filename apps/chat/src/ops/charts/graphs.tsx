//! All graphs, over the same minutes.

import { useState } from 'react';
import { ask } from '../data/ask';
import type { Known } from '../data/poll';
import { pollBy, usePoll } from '../data/polls';
import { type History, historyOf, lastMinutes, merged, NOTHING } from '../data/series';
import { plural } from '../words/format';
import { Graph } from './graph';
import { drawable, METRICS, PANELS } from './panels';

/** The node measures once in ten seconds. */
const EVERY = 10_000;
const HOUR = 60;
const CHOICES = [10, 30, HOUR];

let history: History = NOTHING;

/** All of it first, then what is new: an hour of all series is half a megabyte. */
async function next(signal: AbortSignal): Promise<History> {
  const last = history.times.at(-1);
  const missed = last === undefined ? HOUR : (Date.now() / 1_000 - last) / 60;
  const minutes = Math.min(HOUR, Math.max(2, Math.ceil(missed) + 1));
  const query = new URLSearchParams({ names: METRICS.join(), minutes: String(minutes) });
  history = merged(history, await ask(`series?${query}`, historyOf, signal));
  return history;
}

/** What the node measured in the last hour. */
export function useHistory(): Known<History> {
  return usePoll(pollBy('series', next, EVERY));
}

export function Graphs() {
  const { data, failure } = useHistory();
  const [minutes, setMinutes] = useState(HOUR);
  const shown = data ? lastMinutes(data, minutes) : undefined;
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
