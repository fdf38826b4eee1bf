//! Budgets of a tenant and what it used, day by day.

import { type FormEvent, useState } from 'react';
import type { Fields } from '../data/fields';
import { Answer } from '../parts/answer';
import { Table } from '../parts/table';
import { amount, dollars } from '../words/format';

interface Budget {
  readonly name: string;
  readonly subject: string;
  readonly period: string;
  readonly unit: string;
  readonly spent: number | null;
  readonly held: number | null;
  readonly limit: number | null;
}

interface Day {
  readonly day: string;
  readonly used: Fields;
}

const budgetOf = (row: Fields): Budget => ({
  name: row.text('budget') || row.text('name'),
  subject: row.text('subject'),
  period: row.text('period') || row.text('per'),
  unit: row.text('unit'),
  spent: row.number('spent'),
  held: row.number('held'),
  limit: row.number('limit'),
});

const usageOf = (answer: Fields) => {
  const days = answer.inside('days');
  return {
    budgets: answer.list('budgets', budgetOf),
    days: days.names().map((day): Day => ({ day, used: days.inside(day) })),
  };
};

function quantity(value: number | null, unit: string): string {
  return unit === 'money' ? dollars(value) : amount(value, 'count');
}

/** What is spent or held of the limit; more than all of it may be spent, since a bill is what it is. */
export function usedShare({ spent, held, limit }: Pick<Budget, 'spent' | 'held' | 'limit'>): number | null {
  return limit === null || limit <= 0 ? null : ((spent ?? 0) + (held ?? 0)) / limit;
}

export function BudgetsView() {
  const [tenant, setTenant] = useState('default');
  const [asked, setAsked] = useState('default');
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsked(tenant.trim() || 'default');
  };
  return (
    <section aria-labelledby="budgets">
      <h2 id="budgets">Budgets and usage</h2>
      <form className="form" onSubmit={submit}>
        <label className="field">
          Tenant
          <input value={tenant} onChange={event => setTenant(event.target.value)} spellCheck={false} />
        </label>
        <button type="submit" className="button">
          Show
        </button>
      </form>
      <Answer
        key={asked}
        path={`usage?${new URLSearchParams({ tenant: asked })}`}
        read={usageOf}
        off="This node keeps no budgets."
      >
        {({ budgets, days }) => (
          <>
            <Budgets rows={budgets} />
            <Days rows={days} />
          </>
        )}
      </Answer>
    </section>
  );
}

function Budgets({ rows }: { rows: readonly Budget[] }) {
  return (
    <Table
      label="Budgets"
      rows={rows}
      keyOf={({ name, subject, period }) => `${name} ${subject} ${period}`}
      none="Nothing was spent of a budget yet, or there is none."
      columns={[
        { title: 'Budget', of: ({ name }) => name },
        { title: 'Whose', of: ({ subject }) => subject || '–', wide: true },
        { title: 'Until', of: ({ period }) => period },
        { title: 'Spent', of: ({ spent, unit }) => quantity(spent, unit), numeric: true },
        { title: 'Held', of: ({ held, unit }) => quantity(held, unit), numeric: true },
        { title: 'Limit', of: ({ limit, unit }) => quantity(limit, unit), numeric: true },
        { title: 'Used', of: budget => <Used share={usedShare(budget)} />, numeric: true },
      ]}
    />
  );
}

function Used({ share }: { share: number | null }) {
  const state = share === null ? 'none' : share < 0.8 ? 'ok' : share < 1 ? 'paused' : 'failed';
  return (
    <span className="state" data-state={state}>
      {amount(share, 'share')}
    </span>
  );
}

function Days({ rows }: { rows: readonly Day[] }) {
  return (
    <>
      <h3>Used in the last 31 days</h3>
      <Table
        label="Used by day"
        rows={rows.toReversed()}
        keyOf={({ day }) => day}
        none="Nothing was used."
        columns={[
          { title: 'Day', of: ({ day }) => day },
          { title: 'Runs', of: ({ used }) => amount(used.number('runs'), 'count'), numeric: true },
          { title: 'Tokens', of: ({ used }) => amount(used.number('tokens'), 'count'), numeric: true },
          { title: 'Money', of: ({ used }) => dollars(used.number('money')), numeric: true },
        ]}
      />
    </>
  );
}
