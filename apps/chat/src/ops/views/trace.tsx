//! A live trace of one thread or one user. Texts are left out unless asked for; every trace is written down.

import { type FormEvent, useEffect, useRef, useState } from 'react';
import { Failure } from '../data/failure';
import { follow, KEPT, type Traced } from '../data/trace';
import { Why } from '../parts/answer';
import { clock, plural, short, spoken } from '../words/format';

interface Asked {
  readonly tenant: string;
  readonly by: 'thread' | 'user';
  readonly of: string;
  readonly text: boolean;
}

type Going = 'off' | 'on' | { readonly ended: string } | { readonly failed: Failure };

export function TraceView({ rest }: { rest: readonly string[] }) {
  const [tenant = 'default', by = 'thread', of = ''] = rest;
  const [asked, setAsked] = useState<Asked>({
    tenant,
    by: by === 'user' ? 'user' : 'thread',
    of,
    text: false,
  });
  const { events, count, going, start, stop } = useTrace();
  const submit = (event: FormEvent) => {
    event.preventDefault();
    if (going === 'on') stop();
    else start(asked);
  };
  const change = (news: Partial<Asked>) => setAsked(before => ({ ...before, ...news }));
  const isOn = going === 'on';
  return (
    <section aria-labelledby="trace">
      <h2 id="trace">Live trace</h2>
      <form className="form" onSubmit={submit}>
        <label className="field">
          Tenant
          <input
            value={asked.tenant}
            disabled={isOn}
            onChange={event => change({ tenant: event.target.value })}
            spellCheck={false}
          />
        </label>
        <label className="field">
          By
          <select
            value={asked.by}
            disabled={isOn}
            onChange={event => change({ by: event.target.value === 'user' ? 'user' : 'thread' })}
          >
            <option value="thread">thread</option>
            <option value="user">user</option>
          </select>
        </label>
        <label className="field grow">
          {asked.by === 'user' ? 'User' : 'Thread id'}
          <input
            value={asked.of}
            disabled={isOn}
            required
            onChange={event => change({ of: event.target.value })}
            spellCheck={false}
            autoComplete="off"
          />
        </label>
        <label className="check">
          <input
            type="checkbox"
            checked={asked.text}
            disabled={isOn}
            onChange={event => change({ text: event.target.checked })}
          />
          with texts
        </label>
        <button type="submit" className="button primary">
          {isOn ? 'Stop' : 'Start'}
        </button>
      </form>
      <p className="quiet">
        What is published on this node, for ten minutes at most. Each trace is written into the audit log
        {asked.text ? ', this one as one that reads texts' : ''}.
      </p>
      <Told going={going} count={count} shown={events.length} />
      <ol className="trace" aria-label="Events, newest first">
        {events.map(event => (
          <TracedRow key={event.number} event={event} />
        ))}
      </ol>
    </section>
  );
}

function Told({ going, count, shown }: { going: Going; count: number; shown: number }) {
  if (typeof going === 'object' && 'failed' in going) return <Why failure={going.failed} />;
  const state = going === 'on' ? 'Following.' : going === 'off' ? '' : `Ended: ${going.ended}`;
  const kept = count > shown ? `, the newest ${shown} are shown` : '';
  return (
    <p role="status" className="trace-state">
      {state} {count > 0 && `${plural(count, 'event')}${kept}.`}
    </p>
  );
}

function TracedRow({ event }: { event: Traced }) {
  return (
    <li>
      <span className="mono">{clock(event.at)}</span>
      <b>{spoken(event.kind)}</b>
      <span className="mono" title={event.thread}>
        {short(event.thread)}
      </span>
      {event.rest.map(([name, value]) => (
        <span key={name} className="traced">
          {name}{' '}
          <span className="mono">{name === 'text' ? value : value.length > 40 ? short(value) : value}</span>
        </span>
      ))}
    </li>
  );
}

/** Follows what is asked for. What comes is shown once a frame, however much it is. */
function useTrace() {
  const [events, setEvents] = useState<readonly Traced[]>([]);
  const [count, setCount] = useState(0);
  const [going, setGoing] = useState<Going>('off');
  const under = useRef<AbortController>(undefined);
  const stop = () => {
    under.current?.abort();
    under.current = undefined;
    setGoing('off');
  };
  useEffect(() => () => under.current?.abort(), []);
  const start = (asked: Asked) => {
    const control = new AbortController();
    under.current = control;
    setEvents([]);
    setCount(0);
    setGoing('on');
    const query = new URLSearchParams({ tenant: asked.tenant || 'default', [asked.by]: asked.of.trim() });
    if (asked.text) query.set('text', '1');
    let waiting: Traced[] = [];
    const show = () => {
      const come = waiting;
      waiting = [];
      setCount(come.at(-1)?.number ?? 0);
      setEvents(before => [...come.toReversed(), ...before].slice(0, KEPT));
    };
    const heard = (more: readonly Traced[]) => {
      if (waiting.length === 0) requestAnimationFrame(show);
      waiting = [...waiting, ...more].slice(-KEPT);
    };
    follow(query, control.signal, heard).then(
      ended => control.signal.aborted || setGoing({ ended }),
      (error: unknown) => {
        if (control.signal.aborted) return;
        const lost = new Failure('silent', 'trace_cut', 'The trace was cut off.', 'Start it again.');
        setGoing({ failed: error instanceof Failure ? error : lost });
      },
    );
  };
  return { events, count, going, start, stop };
}
