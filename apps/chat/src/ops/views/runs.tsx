//! Runs, each as a bar: where its time went.

import type { Fields } from '../data/fields';
import { cutOf, type Run, runOf } from '../data/shapes';
import { ActionButton } from '../parts/action';
import { Answer } from '../parts/answer';
import { Id } from '../parts/command';
import { useStanding } from '../parts/summary-context';
import { ThreadLink } from '../parts/thread-link';
import { amount, plural, short, span, when } from '../words/format';
import { momentsOf, piecesOf, STEPS } from '../words/timeline';

const runsOf = (answer: Fields) => ({ ...cutOf(answer, 'runs', runOf), live: answer.number('live') });

export function RunsView() {
  return (
    <section aria-labelledby="runs">
      <h2 id="runs">Runs of this node</h2>
      <Legend />
      <Answer path="runs" read={runsOf} everyMs={3_000}>
        {({ rows, live }) =>
          rows.length === 0 ? (
            <p className="quiet">This node has written no answer since it started.</p>
          ) : (
            <>
              <p className="quiet">
                {plural(rows.length, 'run')}, newest first; {amount(live, 'count')} live.
              </p>
              <ul className="runs">
                {rows.map(run => (
                  <RunRow key={run.id} run={run} />
                ))}
              </ul>
            </>
          )
        }
      </Answer>
    </section>
  );
}

function Legend() {
  return (
    <ul className="legend run-legend" aria-label="Colours of the bars">
      {STEPS.map(({ key, of }) => (
        <li key={key}>
          <span className="swatch" data-piece={key} aria-hidden="true" />
          {of}
        </li>
      ))}
    </ul>
  );
}

function RunRow({ run }: { run: Run }) {
  const { now } = useStanding();
  const elapsed = run.acceptedAt === null ? 0 : Math.max(0, now - run.acceptedAt);
  const isLive = run.state !== 'ended';
  return (
    <li className="run" data-state={run.outcome ?? run.state}>
      <div className="run-head">
        <Id id={run.id}>
          <span className="mono">{short(run.id)}</span>
        </Id>
        <span className="state" data-state={isLive ? 'live' : run.outcome}>
          {isLive ? run.state : (run.outcome ?? 'ended')}
        </span>
        <span>{run.provider}</span>
        <span>
          thread <ThreadLink tenant={run.tenant} id={run.thread} />
        </span>
        <span>fence {amount(run.fence, 'count')}</span>
        {run.failure && <code>{run.failure}</code>}
        <span className="run-when">{when(run.acceptedAt, now)}</span>
        {isLive && (
          <ActionButton
            label="Stop"
            title="Stop this run?"
            text="What was written of the answer stays; its writer is fenced off at once."
            path={`runs/${encodeURIComponent(run.tenant)}/${encodeURIComponent(run.id)}/stop`}
          />
        )}
      </div>
      <Bar run={run} elapsed={elapsed} />
      <ol className="moments">
        <li>accepted</li>
        {momentsOf(run).map(({ key, word, ms }) => (
          <li key={key} data-piece={key}>
            {word} <b>{ms === null ? '–' : `+${span(ms)}`}</b>
          </li>
        ))}
        <li>
          {amount(run.commits, 'count')} commits, {amount(run.chunks, 'count')} chunks,{' '}
          {amount(run.bytes, 'bytes')}
        </li>
      </ol>
    </li>
  );
}

/** The pieces in their proportions; what is short is still seen. */
function Bar({ run, elapsed }: { run: Run; elapsed: number }) {
  const pieces = piecesOf(run, elapsed);
  return (
    <div className="bar" aria-hidden="true">
      {pieces.map(({ key, of, fromMs, toMs, open }) => (
        <span
          key={key}
          data-piece={key}
          data-open={open || undefined}
          title={`${of}: ${span(toMs - fromMs)}`}
          style={{ flexGrow: Math.max(toMs - fromMs, 0.001) }}
        />
      ))}
    </div>
  );
}
