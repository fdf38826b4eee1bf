//! What was written down: errors that were answered, problems that users reported, and looks and actions of operators.

import type { Fields } from '../data/fields';
import { cutOf } from '../data/shapes';
import { Answer } from '../parts/answer';
import { Id } from '../parts/command';
import { useStanding } from '../parts/summary-context';
import { Table } from '../parts/table';
import { amount, short, span, spoken, when } from '../words/format';

const errorsOf = (answer: Fields) => cutOf(answer, 'errors', row => row);
const reportsOf = (answer: Fields) => answer.list('reports', report => report);
const auditOf = (answer: Fields) => cutOf(answer, 'audit', row => row);

export function ErrorsView() {
  return (
    <>
      <Errors />
      <ReportsView />
    </>
  );
}

function Errors() {
  const { now } = useStanding();
  return (
    <section aria-labelledby="errors">
      <h2 id="errors">Errors that this node answered, newest first</h2>
      <Answer path="errors" read={errorsOf}>
        {({ rows, more }) => (
          <Table
            label="Errors"
            rows={rows}
            more={more}
            keyOf={row => row.text('request')}
            none="None since it started."
            columns={[
              { title: 'When', of: row => when(row.time('at'), now) },
              {
                title: 'Status',
                of: row => (
                  <span
                    className="state"
                    data-state={(row.number('status') ?? 0) >= 500 ? 'failed' : 'refused'}
                  >
                    {row.number('status') ?? '–'}
                  </span>
                ),
              },
              { title: 'Code', of: row => <code>{row.text('code')}</code> },
              {
                title: 'Request',
                wide: true,
                of: row => (
                  <span className="mono">
                    {row.text('method')} {row.text('route')}
                  </span>
                ),
              },
              {
                title: 'User',
                of: row => [row.text('tenant'), row.text('user')].filter(Boolean).join('/') || '–',
              },
              { title: 'Took', of: row => span(row.number('tookMs')), numeric: true },
              { title: 'Id', of: row => <Id id={row.text('request')}>{short(row.text('request'))}</Id> },
            ]}
          />
        )}
      </Answer>
    </section>
  );
}

/** Problems that users reported in words which they let the operator read. */
function ReportsView() {
  const { now } = useStanding();
  return (
    <section aria-labelledby="reports">
      <h2 id="reports">What users reported, with their leave</h2>
      <Answer path="feedback" read={reportsOf} everyMs={15_000} off="This node takes no reports.">
        {reports => (
          <Table
            label="Reports"
            rows={reports.toReversed()}
            keyOf={(report, at) => `${report.number('at')} ${at}`}
            none="None."
            columns={[
              { title: 'When', of: report => when(report.number('at'), now) },
              { title: 'What', of: report => report.text('text'), wide: true },
            ]}
          />
        )}
      </Answer>
    </section>
  );
}

export function AuditView() {
  const { now } = useStanding();
  return (
    <section aria-labelledby="audit">
      <h2 id="audit">Looks and actions of operators, newest first</h2>
      <Answer path="audit" read={auditOf}>
        {({ rows, more }) => (
          <Table
            label="Audit"
            rows={rows}
            more={more}
            keyOf={(row, at) => `${row.text('at')} ${at}`}
            none="None since this node started."
            columns={[
              { title: 'When', of: row => when(row.time('at'), now) },
              { title: 'What', of: row => spoken(row.text('what')) },
              { title: 'Of', of: row => <span className="mono">{row.text('subject')}</span>, wide: true },
              { title: 'Why', of: row => row.text('why') || '–' },
              { title: 'From', of: row => <span className="mono">{row.text('from')}</span> },
              {
                title: 'Allowed',
                of: row =>
                  row.has('allowed') ? (row.flag('allowed') ? 'yes' : 'refused') : amount(null, 'flag'),
              },
            ]}
          />
        )}
      </Answer>
    </section>
  );
}
