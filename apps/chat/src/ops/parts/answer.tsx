//! What is shown of an answer: itself, or why there is none, and how old it is where it is old.

import type { ReactNode } from 'react';
import type { Failure } from '../data/failure';
import type { Fields } from '../data/fields';
import type { Known } from '../data/poll';
import { pollOf, usePoll } from '../data/polls';
import { span } from '../words/format';
import { freshness } from '../words/freshness';
import { useStanding } from './summary-context';

/** Sections are asked for a little less often than the summary. */
const EVERY = 4_000;

interface AnswerProps<T> {
  /** The path under `/ops/api/`. */
  readonly path: string;
  readonly read: (answer: Fields) => T;
  readonly everyMs?: number;
  /** What is said where the node has no such route. */
  readonly off?: string;
  readonly children: (data: T) => ReactNode;
}

/** Asks while it is shown. */
export function Answer<T>({ path, read, everyMs = EVERY, off, children }: AnswerProps<T>) {
  const known = usePoll(pollOf(path, read, everyMs));
  return (
    <Shown known={known} everyMs={everyMs} off={off}>
      {children}
    </Shown>
  );
}

interface ShownProps<T> {
  readonly known: Known<T>;
  readonly everyMs: number;
  readonly off: string | undefined;
  readonly children: (data: T) => ReactNode;
}

function Shown<T>({ known, everyMs, off, children }: ShownProps<T>) {
  const { here: now, paused } = useStanding();
  const { data, failure, answeredAt } = known;
  const state = freshness(known, everyMs, now, paused);
  // Of who is not asked nobody can say that they do not answer.
  const isOld = !paused && (state === 'old' || state === 'silent' || state === 'failed');
  if (data === undefined && paused && (!failure || failure.kind === 'silent'))
    return <p className="quiet">The page stands still, and nothing had come before.</p>;
  if (data === undefined)
    return failure ? <Why failure={failure} off={off} /> : <p className="quiet">Asking …</p>;
  return (
    <>
      {isOld && (
        <p className="old">
          {failure ? failure.message : 'No answer came lately.'} What is below is{' '}
          {span(now - (answeredAt ?? now))} old.
        </p>
      )}
      {children(data)}
    </>
  );
}

/** Why something is not there, with what to do about it. */
export function Why({ failure, off }: { failure: Failure; off?: string | undefined }) {
  if (failure.kind === 'off' && off !== undefined && failure.code === 'route_not_found') {
    return <p className="quiet">{off}</p>;
  }
  return (
    <div className="why" role="alert">
      <p>{failure.message}</p>
      {failure.hint && <p>{failure.hint}</p>}
      <p className="quiet">
        Code <code>{failure.code}</code>
        {failure.request && (
          <>
            , request <code>{failure.request}</code>
          </>
        )}
      </p>
    </div>
  );
}
