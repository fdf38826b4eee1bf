//! Finding a thread by its id, or by how it begins.

import { type FormEvent, useState } from 'react';
import { addressOf } from '../address';
import type { Fields } from '../data/fields';
import { cutOf } from '../data/shapes';
import { Answer } from '../parts/answer';
import { Table } from '../parts/table';
import { ThreadView } from './thread';

/** Letters that the server wants at least. */
const LEAST = 3;

interface Found {
  readonly tenant: string;
  readonly user: string;
  readonly id: string;
}

const foundOf = (answer: Fields) =>
  cutOf(
    answer,
    'threads',
    (row): Found => ({ tenant: row.text('tenant'), user: row.text('user'), id: row.text('id') }),
  );

export function ThreadsView({ rest }: { rest: readonly string[] }) {
  const [tenant, id] = rest;
  if (tenant !== undefined && id !== undefined)
    return <ThreadView key={`${tenant}/${id}`} tenant={tenant} id={id} />;
  return <Search tenant={tenant ?? 'default'} />;
}

function Search({ tenant: first }: { tenant: string }) {
  const [tenant, setTenant] = useState(first);
  const [typed, setTyped] = useState('');
  const [asked, setAsked] = useState<{ tenant: string; find: string }>();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    setAsked({ tenant: tenant.trim() || 'default', find: typed.trim() });
  };
  return (
    <section aria-labelledby="threads">
      <h2 id="threads">Find a thread</h2>
      <form className="form" onSubmit={submit}>
        <label className="field">
          Tenant
          <input value={tenant} onChange={event => setTenant(event.target.value)} spellCheck={false} />
        </label>
        <label className="field grow">
          Id, or its first letters
          <input
            value={typed}
            onChange={event => setTyped(event.target.value)}
            minLength={LEAST}
            maxLength={64}
            required
            spellCheck={false}
            autoComplete="off"
          />
        </label>
        <button type="submit" className="button primary">
          Find
        </button>
      </form>
      {asked && (
        <Answer path={`threads?${new URLSearchParams(asked)}`} read={foundOf} everyMs={15_000}>
          {({ rows, more }) => (
            <Table
              label="Threads that were found"
              rows={rows}
              keyOf={({ id }) => id}
              none={`No thread of ${asked.tenant} begins like that.`}
              more={more}
              columns={[
                {
                  title: 'Thread',
                  wide: true,
                  of: ({ tenant, id }) => (
                    <a className="mono" href={addressOf('threads', tenant, id)}>
                      {id}
                    </a>
                  ),
                },
                { title: 'User', of: ({ user }) => user },
                { title: 'Tenant', of: ({ tenant }) => tenant },
              ]}
            />
          )}
        </Answer>
      )}
    </section>
  );
}
