//! Rollouts: how each stands, what its gates say of the two sides, who changed what, and the moves that are allowed.

import { addressOf } from '../address';
import type { Fields } from '../data/fields';
import { ActionButton } from '../parts/action';
import { Answer } from '../parts/answer';
import { FactList } from '../parts/facts';
import { useStanding } from '../parts/summary-context';
import { Table } from '../parts/table';
import { amount, compared, plural, span, spoken, when } from '../words/format';

const OFF = 'This node has no guarded rollouts.';
const listOf = (answer: Fields) => answer.list('rollouts', rollout => rollout);
const same = (answer: Fields) => answer;

function StatusWord({ rollout }: { rollout: Fields }) {
  const status = rollout.text('status');
  return (
    <span className="state" data-state={status}>
      {spoken(status) || '–'}
    </span>
  );
}

export function RolloutView({ rest }: { rest: readonly string[] }) {
  const [flag] = rest;
  return flag === undefined ? <Rollouts /> : <Rollout key={flag} flag={flag} />;
}

function Rollouts() {
  const { now } = useStanding();
  return (
    <section aria-labelledby="rollouts">
      <h2 id="rollouts">Rollouts</h2>
      <Answer path="rollouts" read={listOf} off={OFF}>
        {rows => (
          <Table
            label="Rollouts"
            rows={rows}
            keyOf={rollout => rollout.text('flag')}
            none="Nothing is rolled out. `threadmill rollout start FLAG` begins one."
            columns={[
              {
                title: 'Flag',
                of: rollout => (
                  <a href={addressOf('rollout', rollout.text('flag'))}>{rollout.text('flag')}</a>
                ),
              },
              { title: 'Status', of: rollout => <StatusWord rollout={rollout} /> },
              { title: 'Stage', of: rollout => rollout.text('stage') || '–' },
              { title: 'Since', of: rollout => when(rollout.number('since'), now) },
              { title: 'Why', of: rollout => rollout.text('why') || '–', wide: true },
            ]}
          />
        )}
      </Answer>
    </section>
  );
}

function Rollout({ flag }: { flag: string }) {
  return (
    <section aria-labelledby="rollout">
      <p className="back">
        <a href={addressOf('rollout')}>All rollouts</a>
      </p>
      <h2 id="rollout">
        Rollout of <span className="mono">{flag}</span>
      </h2>
      <Answer path={`rollouts/${encodeURIComponent(flag)}`} read={same} off={OFF}>
        {rollout => <Standing flag={flag} rollout={rollout} />}
      </Answer>
    </section>
  );
}

function Standing({ flag, rollout }: { flag: string; rollout: Fields }) {
  const { now } = useStanding();
  const next = rollout.inside('next');
  const since = rollout.number('since');
  return (
    <>
      <FactList
        facts={[
          ['Status', <StatusWord key="status" rollout={rollout} />],
          ['Stage', rollout.text('stage') || '–'],
          ['In it for', since === null ? '–' : span(now - since)],
          ['Stages', stagesOf(rollout)],
          ['By', rollout.text('unit') || '–'],
          ['Internal users', amount(rollout.number('internal'), 'count')],
        ]}
      />
      <p>{rollout.text('why')}</p>
      {next.has('move') && (
        <p>
          Next: <b>{next.text('move')}</b>: {next.text('why')}
        </p>
      )}
      <Moves flag={flag} status={rollout.text('status')} />
      <Gates rollout={rollout} />
      <Changes rollout={rollout} />
    </>
  );
}

function stagesOf(rollout: Fields): string {
  return rollout.list('stages', stage => stage.text('reach')).join(' → ') || '–';
}

/** What may be done in a status; the node refuses what may not. */
const MOVES: ReadonlyMap<string, readonly string[]> = new Map([
  ['scheduled', ['advance', 'kill']],
  ['running', ['advance', 'pause', 'rollback', 'kill']],
  ['paused', ['resume', 'rollback', 'kill']],
]);

const WORDS: ReadonlyMap<string, readonly [label: string, text: string]> = new Map([
  ['advance', ['Next stage', 'It goes to its next stage now, without waiting for its gates.']],
  ['pause', ['Pause', 'It stays in its stage and is not judged.']],
  ['resume', ['Go on', 'It is judged and moves by itself again.']],
  ['rollback', ['Roll back', 'It is off for everybody.']],
  ['kill', ['Kill', 'It is off for everybody within 5 s, whatever else says that it is on.']],
]);

function Moves({ flag, status }: { flag: string; status: string }) {
  return (
    <p className="moves">
      {(MOVES.get(status) ?? []).map(move => {
        const [label, text] = WORDS.get(move) ?? [move, ''];
        return (
          <ActionButton
            key={move}
            label={label}
            title={`${label}: ${flag}?`}
            text={text}
            path={`rollouts/${encodeURIComponent(flag)}/${move}`}
            signed
          />
        );
      })}
    </p>
  );
}

function Gates({ rollout }: { rollout: Fields }) {
  return (
    <>
      <h3>Gates</h3>
      <Table
        label="Gates"
        rows={rollout.list('gates', gate => gate)}
        keyOf={gate => gate.text('metric')}
        none="None."
        columns={[
          { title: 'Gate', of: gate => spoken(gate.text('metric')) },
          {
            title: 'Finding',
            wide: true,
            of: gate => (
              <span className="state" data-state={gate.text('finding')}>
                {spoken(gate.text('finding'))}
              </span>
            ),
          },
          { title: 'Without', of: gate => compared(gate.number('old')), numeric: true },
          { title: 'With', of: gate => compared(gate.number('new')), numeric: true },
          {
            title: 'Difference',
            of: gate =>
              gate.has('low') ? `${compared(gate.number('low'))} to ${compared(gate.number('high'))}` : '–',
            numeric: true,
          },
          {
            title: 'Trials',
            of: gate =>
              `${amount(gate.number('oldTrials'), 'count')} · ${amount(gate.number('newTrials'), 'count')}`,
            numeric: true,
          },
        ]}
      />
    </>
  );
}

function Changes({ rollout }: { rollout: Fields }) {
  const { now } = useStanding();
  const log = rollout.list('log', entry => entry).toReversed();
  return (
    <>
      <h3>{plural(log.length, 'change')}, newest first</h3>
      <Table
        label="Changes"
        rows={log}
        keyOf={(entry, at) => `${entry.number('at')} ${log.length - at}`}
        none="None."
        columns={[
          { title: 'When', of: entry => when(entry.number('at'), now) },
          { title: 'Who', of: entry => entry.text('who') },
          { title: 'What', of: entry => entry.text('what') },
          { title: 'Stage after', of: entry => entry.text('stage') },
          { title: 'Why', of: entry => entry.text('why'), wide: true },
        ]}
      />
    </>
  );
}
