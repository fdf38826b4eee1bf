//! Connections, locks, the hot tier and the nodes: a section each.

import type { Fields } from '../data/fields';
import { cutOf, spreadOf } from '../data/shapes';
import { ActionButton } from '../parts/action';
import { Answer } from '../parts/answer';
import { Id } from '../parts/command';
import { FactList } from '../parts/facts';
import { useStanding } from '../parts/summary-context';
import { Table } from '../parts/table';
import { amount, dollars, short, span, spans, when } from '../words/format';

const same = (answer: Fields) => answer;
const rowsOf = (answer: Fields, name: string) => cutOf(answer, name, row => row);

function halfAnd99(fields: Fields): string {
  const { p50, p99 } = spreadOf(fields);
  return spans(p50, p99);
}

export function ConnectionsView() {
  return (
    <section aria-labelledby="connections">
      <h2 id="connections">Connections of this node</h2>
      <Answer path="connections" read={same}>
        {answer => {
          const { rows, more } = rowsOf(answer, 'connections');
          return (
            <>
              <FactList
                facts={[
                  ['Open', amount(answer.number('open'), 'count')],
                  ['Sockets', amount(answer.number('sockets'), 'count')],
                  ['Users', amount(answer.number('users'), 'count')],
                  ['Unsent', amount(answer.number('unsentBytes'), 'bytes')],
                  ['Bodies being read', amount(answer.number('bodyBytes'), 'bytes')],
                  ['Event streams', amount(answer.number('streams'), 'count')],
                ]}
              />
              <Table
                label="Connections by user"
                rows={rows}
                more={more}
                keyOf={row => `${row.text('tenant')}/${row.text('user')}`}
                none="Nobody is connected."
                columns={[
                  { title: 'User', of: row => row.text('user'), wide: true },
                  { title: 'Tenant', of: row => row.text('tenant') },
                  { title: 'Live', of: row => amount(row.number('live'), 'count'), numeric: true },
                  { title: 'Opened', of: row => amount(row.number('opened'), 'count'), numeric: true },
                ]}
              />
            </>
          );
        }}
      </Answer>
    </section>
  );
}

export function LocksView() {
  const { now, write } = useStanding();
  const release = {
    title: 'Action',
    of: (row: Fields) => (
      <ActionButton
        label="Release"
        title={`Release the lock ${row.text('name')}?`}
        text="It is given back for its holder, whose token then writes nothing."
        path={`locks/${encodeURIComponent(row.text('tenant'))}/${encodeURIComponent(row.text('name'))}/release`}
      />
    ),
  };
  return (
    <section aria-labelledby="locks">
      <h2 id="locks">Locks granted by this node</h2>
      <Answer path="locks" read={same} everyMs={3_000}>
        {answer => {
          const { rows, more } = rowsOf(answer, 'held');
          return (
            <>
              <FactList
                facts={[
                  ['Asked for', amount(answer.number('attempts'), 'count')],
                  ['Granted', amount(answer.number('granted'), 'count')],
                  ['In vain', amount(answer.number('timedOut'), 'count')],
                  ['Refused', amount(answer.number('refused'), 'count')],
                  ['Old tokens', amount(answer.number('fenced'), 'count')],
                  ['In vain, share', amount(answer.number('failureShare'), 'share')],
                  ['Waiting now', amount(answer.number('waiting'), 'count')],
                  ['Waited, half · 99 %', halfAnd99(answer.inside('waitMs'))],
                  ['Held, half · 99 %', halfAnd99(answer.inside('holdMs'))],
                ]}
              />
              <Table
                label="Locks that are held"
                rows={rows}
                more={more}
                keyOf={row => `${row.text('tenant')}/${row.text('name')}`}
                none="No lock is held."
                columns={[
                  { title: 'Lock', of: row => row.text('name'), wide: true },
                  { title: 'Holder', of: row => row.text('user') },
                  { title: 'Tenant', of: row => row.text('tenant') },
                  { title: 'Token', of: row => amount(row.number('token'), 'count'), numeric: true },
                  { title: 'Held for', of: row => span(row.number('heldMs')), numeric: true },
                  { title: 'Until', of: row => when(row.time('until'), now), numeric: true },
                  { title: 'Waiting', of: row => amount(row.number('waiting'), 'count'), numeric: true },
                  ...(write ? [release] : []),
                ]}
              />
            </>
          );
        }}
      </Answer>
    </section>
  );
}

export function HotView() {
  return (
    <section aria-labelledby="hot">
      <h2 id="hot">Hot tier</h2>
      <Answer path="hot" read={same}>
        {answer => (
          <>
            {!answer.flag('configured') && (
              <p className="quiet">
                No hot tier is configured: everything is read from memory and from the durable tier.
              </p>
            )}
            <FactList
              facts={[
                ['Mode', answer.text('mode') || '–'],
                ['Up, last hour', amount(answer.number('uptime'), 'share')],
                ['Hit rate', amount(answer.number('hitRate'), 'share')],
                ['Pieces of streams', amount(answer.number('hits'), 'count')],
                ['Fallbacks', amount(answer.number('fallbacks'), 'count')],
                ['Fallbacks, share', amount(answer.number('fallbackShare'), 'share')],
                ['Windows in Redis', found(answer, 'pageHits', 'pageMisses')],
                ['Windows in memory', found(answer, 'keptHits', 'keptMisses')],
                ['Spread', amount(answer.number('spread'), 'count')],
                ['Dropped', amount(answer.number('dropped'), 'count')],
                ['Switches', amount(answer.number('switches'), 'count')],
                ['Unverified', amount(answer.number('unverified'), 'count')],
                ['Commands', amount(answer.number('commands'), 'count')],
                ['Commands per 1,000 answers', amount(answer.number('commandsPer1000Answers'), 'count')],
                ['Money per 1,000 answers', dollars(answer.number('moneyPer1000Answers'))],
              ]}
            />
            <Table
              label="Calls of the hot tier"
              rows={answer.list('calls', call => call)}
              keyOf={call => call.text('op')}
              none="It was not called."
              columns={[
                { title: 'Call', of: call => call.text('op'), wide: true },
                { title: 'Calls', of: call => amount(call.number('calls'), 'count'), numeric: true },
                { title: 'Mean', of: call => span(call.number('meanMs')), numeric: true },
                { title: 'Late', of: call => amount(call.number('timeouts'), 'count'), numeric: true },
                { title: 'Failed', of: call => amount(call.number('outages'), 'count'), numeric: true },
              ]}
            />
          </>
        )}
      </Answer>
    </section>
  );
}

function found(answer: Fields, hits: string, misses: string): string {
  const [hit, missed] = [answer.number(hits), answer.number(misses)];
  return hit === null || missed === null
    ? '–'
    : `${amount(hit, 'count')} of ${amount(hit + missed, 'count')}`;
}

export function NodesView() {
  const { now } = useStanding();
  return (
    <section aria-labelledby="nodes">
      <h2 id="nodes">Nodes</h2>
      <Answer path="nodes" read={answer => answer.list('nodes', node => node)}>
        {nodes => (
          <Table
            label="Nodes"
            rows={nodes}
            keyOf={node => node.text('name')}
            none="None."
            columns={[
              {
                title: 'Node',
                wide: true,
                of: node => (
                  <>
                    <Id id={node.text('name')}>{short(node.text('name'))}</Id>
                    {node.flag('self') && ' (this one)'}
                  </>
                ),
              },
              {
                title: 'State',
                of: node => (
                  <span className="state" data-state={node.text('state')}>
                    {node.text('state') || '–'}
                  </span>
                ),
              },
              { title: 'Ready', of: node => (node.has('ready') ? (node.flag('ready') ? 'yes' : 'no') : '–') },
              { title: 'Mode', of: node => node.text('mode') || '–' },
              { title: 'Version', of: node => node.text('version') || '–' },
              { title: 'Since', of: node => when(node.time('startedAt'), now) },
              { title: 'Heard', of: node => `${span(node.number('seenMs'))} ago`, numeric: true },
              { title: 'Clock off by', of: node => span(node.number('skewMs')), numeric: true },
              { title: 'Runs', of: node => amount(node.number('runs'), 'count'), numeric: true },
              {
                title: 'Connections',
                of: node => amount(node.number('connections'), 'count'),
                numeric: true,
              },
            ]}
          />
        )}
      </Answer>
    </section>
  );
}
