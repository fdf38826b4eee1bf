//! One thread as the node has it: where it stands, its branches, its log, what is written now, its newest messages. Texts
//! are left out unless somebody asks for them, which is written down.

import { useState } from 'react';
import { addressOf } from '../address';
import { ask } from '../data/ask';
import type { Failure } from '../data/failure';
import type { Fields } from '../data/fields';
import { Answer, Why } from '../parts/answer';
import { Id } from '../parts/command';
import { FactList } from '../parts/facts';
import { useStanding } from '../parts/summary-context';
import { Table } from '../parts/table';
import { amount, short, spoken, when } from '../words/format';

interface Message {
  readonly id: string;
  readonly depth: number | null;
  readonly role: string;
  readonly status: string;
  readonly bytes: number | null;
  readonly digest: string;
  readonly text: string | undefined;
}

const messagesOf = (answer: Fields): readonly Message[] =>
  answer.inside('window').list('messages', row => ({
    id: row.text('id'),
    depth: row.number('depth'),
    role: row.text('role'),
    status: row.text('status'),
    bytes: row.number('bytes'),
    digest: row.text('digest'),
    text: row.textOrNone('text'),
  }));

const same = (answer: Fields) => answer;

export function ThreadView({ tenant, id }: { tenant: string; id: string }) {
  const path = `threads/${encodeURIComponent(tenant)}/${encodeURIComponent(id)}`;
  return (
    <section aria-labelledby="thread">
      <p className="back">
        <a href={addressOf('threads', tenant)}>Find another</a>
        <a href={addressOf('trace', tenant, 'thread', id)}>Trace it</a>
      </p>
      <h2 id="thread">
        Thread{' '}
        <Id id={id}>
          <span className="mono">{short(id)}</span>
        </Id>
      </h2>
      <Answer path={path} read={same}>
        {answer => <Thread answer={answer} path={path} />}
      </Answer>
    </section>
  );
}

function Thread({ answer, path }: { answer: Fields; path: string }) {
  const { now } = useStanding();
  const position = answer.inside('position');
  const live = answer.inside('live');
  return (
    <>
      <FactList
        facts={[
          ['Tenant', answer.text('tenant')],
          ['User', answer.text('user')],
          ['Messages', amount(answer.number('messages'), 'count')],
          [
            'Epoch · number',
            `${amount(position.number('epoch'), 'count')} · ${amount(position.number('seq'), 'count')}`,
          ],
          ['Position’s hash', <code key="hash">{position.text('hash').slice(0, 16) || '–'}</code>],
          ['Digest', <code key="digest">{answer.text('digest').slice(0, 16) || '–'}</code>],
          ['Windows kept', amount(answer.number('keptWindows'), 'count')],
          [
            'Followed here',
            live.flag('followed') ? `yes, by ${amount(live.number('watchers'), 'count')}` : 'no',
          ],
          ['Changed', when(answer.time('updatedAt'), now)],
          ['Made', when(answer.time('createdAt'), now)],
        ]}
      />
      <LiveRuns live={live} />
      <Branches answer={answer} />
      <Messages answer={answer} path={path} />
      <Log answer={answer} />
    </>
  );
}

function LiveRuns({ live }: { live: Fields }) {
  const runs = live.list('runs', run => run);
  if (runs.length === 0) return null;
  return (
    <>
      <h3>Written now</h3>
      <Table
        label="Runs that are live"
        rows={runs}
        keyOf={run => run.text('id')}
        none="None."
        columns={[
          { title: 'Run', wide: true, of: run => <Id id={run.text('id')}>{short(run.text('id'))}</Id> },
          { title: 'Message', of: run => <span className="mono">{short(run.text('message'))}</span> },
          { title: 'Offset', numeric: true, of: run => amount(run.number('offset'), 'count') },
        ]}
      />
    </>
  );
}

function Branches({ answer }: { answer: Fields }) {
  return (
    <>
      <h3>Branches</h3>
      <Table
        label="Branches"
        rows={answer.list('branches', branch => branch)}
        keyOf={branch => branch.text('id')}
        none="None."
        more={answer.flag('moreBranches')}
        columns={[
          {
            title: 'Branch',
            wide: true,
            of: branch => <Id id={branch.text('id')}>{short(branch.text('id'))}</Id>,
          },
          { title: 'From', of: branch => (branch.has('parent') ? short(branch.text('parent')) : '–') },
          { title: 'Forked at', numeric: true, of: branch => amount(branch.number('forkDepth'), 'count') },
          { title: 'Length', numeric: true, of: branch => amount(branch.number('length'), 'count') },
          { title: 'Shown first', of: branch => (branch.flag('default') ? 'yes' : '') },
        ]}
      />
    </>
  );
}

type Texts = 'hidden' | 'asking' | ReadonlyMap<string, string> | { readonly failed: Failure };

function Messages({ answer, path }: { answer: Fields; path: string }) {
  const [texts, setTexts] = useState<Texts>('hidden');
  const show = async () => {
    setTexts('asking');
    try {
      const messages = await ask(`${path}?text=1`, messagesOf);
      setTexts(new Map(messages.map(({ id, text }) => [id, text ?? ''])));
    } catch (failed) {
      setTexts({ failed: failed as Failure });
    }
  };
  const shown = texts instanceof Map ? texts : undefined;
  return (
    <>
      <div className="section-head">
        <h3>Newest messages</h3>
        {shown ? (
          <button type="button" className="button small" onClick={() => setTexts('hidden')}>
            Hide texts
          </button>
        ) : (
          <button
            type="button"
            className="button small"
            disabled={texts === 'asking'}
            onClick={() => void show()}
          >
            Show texts: the look is audited
          </button>
        )}
      </div>
      {typeof texts === 'object' && 'failed' in texts && <Why failure={texts.failed} />}
      <Table
        label="Newest messages"
        rows={messagesOf(answer).toReversed()}
        keyOf={({ id }) => id}
        none="None."
        columns={[
          { title: 'Depth', numeric: true, of: ({ depth }) => amount(depth, 'count') },
          { title: 'Role', of: ({ role }) => role },
          { title: 'Status', of: ({ status }) => status },
          { title: 'Size', numeric: true, of: ({ bytes }) => amount(bytes, 'bytes') },
          { title: 'Digest', of: ({ digest }) => <code>{digest.slice(0, 12)}</code> },
          {
            title: 'Message',
            wide: true,
            of: ({ id }) =>
              shown?.has(id) ? <pre className="text">{shown.get(id)}</pre> : <Id id={id}>{short(id)}</Id>,
          },
        ]}
      />
    </>
  );
}

function Log({ answer }: { answer: Fields }) {
  const { now } = useStanding();
  return (
    <>
      <h3>Log, newest first</h3>
      <Table
        label="Log"
        rows={answer
          .list('log', entry => entry)
          .toSorted((one, other) => (other.number('seq') ?? 0) - (one.number('seq') ?? 0))}
        keyOf={entry => String(entry.number('seq'))}
        none="Nothing happened to it yet."
        columns={[
          { title: 'Number', numeric: true, of: entry => amount(entry.number('seq'), 'count') },
          { title: 'When', of: entry => when(entry.time('at'), now) },
          { title: 'What', of: entry => spoken(entry.text('kind')), wide: true },
          { title: 'Message', of: entry => <span className="mono">{short(entry.text('messageId'))}</span> },
          { title: 'Run', of: entry => <span className="mono">{short(entry.text('run'))}</span> },
        ]}
      />
    </>
  );
}
