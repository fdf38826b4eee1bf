//! One thing that is wrong: what, who, since when, why, what to do, and the command for it.

import type { Insight } from '../data/shapes';
import { span, when } from '../words/format';
import { Command } from './command';
import { FactList } from './facts';
import { useStanding } from './summary-context';

const WORDS = { critical: 'Critical', warning: 'Warning' } as const;

export function InsightCard({ insight }: { insight: Insight }) {
  const { now } = useStanding();
  const { id, title, severity, what, who, since, why, act, command, runbook, source } = insight;
  return (
    <li className="insight" data-severity={severity} data-insight={id}>
      <h3>
        <span className="tag" data-severity={severity}>
          {WORDS[severity]}
        </span>
        {title}
        {since !== null && <span className="insight-for">for {span(Math.max(0, now - since))}</span>}
      </h3>
      <p className="insight-what">{what}</p>
      <FactList
        className="answers"
        facts={[
          ['Who', who || '–'],
          ['Since when', <Since key="since" since={since} />],
          ['Why', <Said key="why" text={why} />],
          ['What now', <Said key="act" text={act} />],
        ]}
      />
      {command && <Command text={command} />}
      <p className="quiet insight-foot">
        {runbook && (
          <span>
            Runbook: <code>{runbook}</code>
          </span>
        )}
        {source && <span>Threshold: {source}</span>}
      </p>
    </li>
  );
}

/** Words of the server, with what is to be typed between backticks. */
function Said({ text }: { text: string }) {
  if (text === '') return '–';
  // biome-ignore lint/suspicious/noArrayIndexKey: the pieces have no other name, and no state
  return text.split('`').map((piece, at) => (at % 2 === 1 ? <code key={at}>{piece}</code> : piece));
}

function Since({ since }: { since: number | null }) {
  const { now } = useStanding();
  if (since === null) return 'not known';
  return <time dateTime={new Date(since).toISOString()}>{when(since, now)}</time>;
}
