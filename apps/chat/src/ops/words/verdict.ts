//! The one line at the top, and the order of what is wrong: the worst first, of equals the one that began first.

import type { Insight, Severity, Summary } from '../data/shapes';
import type { Freshness } from './freshness';

/** How it goes, from best to worst; `unknown` is what nobody can tell now, and is never taken for well. */
export type Verdict = 'ok' | 'watch' | 'act' | 'unknown';

const WORDS: Readonly<Record<Verdict, string>> = {
  ok: 'Healthy',
  watch: 'Watch',
  act: 'Act now',
  unknown: 'Unknown',
};

/** The verdict in a word. */
export function verdictWord(verdict: Verdict): string {
  return WORDS[verdict];
}

const RANK: Readonly<Record<Severity, number>> = { critical: 0, warning: 1 };

/** Insights in the order in which somebody should read them. */
export function ordered(insights: readonly Insight[]): readonly Insight[] {
  const began = ({ since }: Insight) => since ?? Number.POSITIVE_INFINITY;
  return [...insights].sort(
    (one, other) =>
      RANK[one.severity] - RANK[other.severity] ||
      // Equal infinities are no number apart.
      (began(one) === began(other) ? 0 : began(one) - began(other)) ||
      one.id.localeCompare(other.id),
  );
}

/**
 * The verdict that may be shown. The server's word stands while it is current; a node that is silent has none, and one
 * that says it is well while it names something wrong is not believed.
 */
export function verdictOf(summary: Summary | undefined, freshness: Freshness): Verdict {
  if (!summary || freshness === 'silent' || freshness === 'old' || freshness === 'failed') return 'unknown';
  if (freshness === 'locked' || freshness === 'off') return 'unknown';
  const worst = ordered(summary.insights)[0]?.severity;
  if (worst === 'critical' || summary.verdict === 'act') return 'act';
  return worst === 'warning' || summary.verdict === 'watch' ? 'watch' : 'ok';
}

/** The line under it. */
export function verdictLine(summary: Summary | undefined, verdict: Verdict, freshness: Freshness): string {
  if (verdict !== 'unknown') return summary?.line ?? '';
  switch (freshness) {
    case 'waiting':
      return 'The node is being asked.';
    case 'silent':
      return 'The node does not answer. What is below is what it said last.';
    case 'failed':
      return 'The node answers with an error. What is below is what it said last.';
    case 'locked':
      return 'The node wants a token.';
    case 'off':
      return 'This node serves no ops API.';
    default:
      return 'What is below is old.';
  }
}

/** What is said to who hears the page: only what changed. */
export function newsOf(verdict: Verdict, insights: readonly Insight[]): string {
  const titles = ordered(insights).map(({ severity, title }) => `${severity}: ${title}`);
  return [verdictWord(verdict), ...titles].join('. ');
}
