//! What the ops API answers, as the page holds it: `docs/operations.md` has the shapes. Times are milliseconds since
//! 1970, spans milliseconds; `null` is what nothing was measured of.

import type { Fields } from './fields';

export type Severity = 'critical' | 'warning';
/** How it goes, as the server judges. */
type ServerVerdict = 'ok' | 'watch' | 'act';

/** Half of what was measured, and all but a hundredth. */
export interface Spread {
  readonly p50: number | null;
  readonly p99: number | null;
}

export interface Insight {
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  readonly what: string;
  readonly who: string;
  readonly since: number | null;
  readonly why: string;
  readonly act: string;
  readonly command: string;
  readonly runbook: string;
  readonly source: string;
}

export interface Watched {
  readonly id: string;
  readonly title: string;
  readonly severity: Severity;
  readonly state: string;
  readonly value: number | null;
  readonly threshold: number | null;
  readonly unit: string;
  readonly samples: number | null;
}

export interface Summary {
  readonly verdict: ServerVerdict;
  readonly line: string;
  readonly at: number | null;
  readonly windowSeconds: number | null;
  readonly node: {
    readonly name: string;
    readonly version: string;
    readonly uptimeMs: number | null;
    readonly ready: boolean;
    readonly status: string;
    readonly mode: string;
  };
  readonly write: boolean;
  readonly figures: Fields;
  readonly insights: readonly Insight[];
  readonly watched: readonly Watched[];
}

function severityOf(fields: Fields): Severity {
  // What is not known is rather looked at once too often.
  return fields.text('severity') === 'warning' ? 'warning' : 'critical';
}

export function spreadOf(fields: Fields | undefined): Spread {
  return { p50: fields?.number('p50') ?? null, p99: fields?.number('p99') ?? null };
}

function insightOf(fields: Fields): Insight {
  return {
    id: fields.text('id'),
    title: fields.text('title'),
    severity: severityOf(fields),
    what: fields.text('what'),
    who: fields.text('who'),
    since: fields.time('since'),
    why: fields.text('why'),
    act: fields.text('act'),
    command: fields.text('command'),
    runbook: fields.text('runbook'),
    source: fields.text('source'),
  };
}

function watchedOf(fields: Fields): Watched {
  return {
    id: fields.text('id'),
    title: fields.text('title'),
    severity: severityOf(fields),
    state: fields.text('state'),
    value: fields.number('value'),
    threshold: fields.number('threshold'),
    unit: fields.text('unit'),
    samples: fields.number('samples'),
  };
}

export function summaryOf(fields: Fields): Summary {
  const node = fields.inside('node');
  const verdict = fields.text('verdict');
  return {
    verdict: verdict === 'ok' || verdict === 'watch' ? verdict : 'act',
    line: fields.text('line'),
    at: fields.time('at'),
    windowSeconds: fields.number('windowSeconds'),
    node: {
      name: node.text('name'),
      version: node.text('version'),
      uptimeMs: node.number('uptimeMs'),
      ready: node.flag('ready'),
      status: node.text('status'),
      mode: node.text('mode'),
    },
    write: fields.flag('write'),
    figures: fields.inside('figures'),
    insights: fields.list('insights', insightOf),
    watched: fields.list('watched', watchedOf),
  };
}

export interface Run {
  readonly id: string;
  readonly tenant: string;
  readonly thread: string;
  readonly provider: string;
  readonly fence: number | null;
  readonly state: string;
  readonly outcome: string | undefined;
  readonly acceptedAt: number | null;
  readonly askedMs: number | null;
  readonly firstByteMs: number | null;
  readonly firstCommitMs: number | null;
  readonly firstDeliveryMs: number | null;
  readonly endedMs: number | null;
  readonly commits: number | null;
  readonly chunks: number | null;
  readonly bytes: number | null;
  readonly failure: string | undefined;
}

export function runOf(fields: Fields): Run {
  return {
    id: fields.text('id'),
    tenant: fields.text('tenant'),
    thread: fields.text('thread'),
    provider: fields.text('provider'),
    fence: fields.number('fence'),
    state: fields.text('state'),
    outcome: fields.textOrNone('outcome'),
    acceptedAt: fields.time('acceptedAt'),
    askedMs: fields.number('askedMs'),
    firstByteMs: fields.number('firstByteMs'),
    firstCommitMs: fields.number('firstCommitMs'),
    firstDeliveryMs: fields.number('firstDeliveryMs'),
    endedMs: fields.number('endedMs'),
    commits: fields.number('commits'),
    chunks: fields.number('chunks'),
    bytes: fields.number('bytes'),
    failure: fields.textOrNone('failure'),
  };
}

/** A list that may go on. */
interface Cut<T> {
  readonly rows: readonly T[];
  readonly more: boolean;
}

/** Reads the list of that name, and whether there is more of it. */
export function cutOf<T>(fields: Fields, name: string, read: (item: Fields) => T): Cut<T> {
  return { rows: fields.list(name, read), more: fields.flag('more') };
}
