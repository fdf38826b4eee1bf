//! The page: the verdict on top whatever section is open, the menu, the section.

import { useEffect, useRef, useState } from 'react';
import { Icon, Mark } from '../controls/icon';
import { ThemeToggle } from '../controls/theme-toggle';
import { Guarded } from '../shell/boundary';
import { addressOf, type Place, SECTIONS, usePlace } from './address';
import type { Known } from './data/poll';
import { halt, pollOf, usePoll } from './data/polls';
import { type Summary, summaryOf } from './data/shapes';
import { Why } from './parts/answer';
import { Command } from './parts/command';
import { StandingProvider } from './parts/summary-context';
import { TokenPrompt } from './parts/token-prompt';
import { AnalyticsView } from './views/analytics';
import { BudgetsView } from './views/budgets';
import { ConnectionsView, HotView, LocksView, NodesView } from './views/node';
import { NowView } from './views/now';
import { AuditView, ErrorsView } from './views/records';
import { RolloutView } from './views/rollouts';
import { RunsView } from './views/runs';
import { ThreadsView } from './views/threads';
import { TraceView } from './views/trace';
import { clock, short, span } from './words/format';
import { type Freshness, freshness, nodeNow } from './words/freshness';
import { newsOf, type Verdict, verdictLine, verdictOf, verdictWord } from './words/verdict';

/** Milliseconds between two summaries. */
const EVERY = 3_000;

export function OpsPage() {
  const [paused, setPaused] = useState(false);
  const known = usePoll(pollOf('summary', summaryOf, EVERY));
  const now = useNow();
  const place = usePlace();
  const state = freshness(known, EVERY, now, paused);
  const { data: summary } = known;
  const verdict = verdictOf(summary, state);
  useTitle(verdict, summary);
  const togglePause = () => {
    halt(!paused);
    setPaused(!paused);
  };
  const standing = {
    summary,
    now: nodeNow(summary?.at ?? null, known.answeredAt, now),
    here: now,
    paused,
    write: summary?.write ?? false,
  };
  const isLocked = state === 'locked';
  return (
    <StandingProvider value={standing}>
      <button type="button" className="skip" onClick={focusMain}>
        Skip to the section
      </button>
      <header className="ops-head">
        <Verdicts verdict={verdict} line={verdictLine(summary, verdict, state)} />
        <NodeLine summary={summary} />
        <div className="ops-tools">
          <Currency state={state} known={known} now={now} />
          <button
            type="button"
            className="icon-button"
            aria-pressed={paused}
            aria-label="Stand still"
            title={paused ? 'Go on' : 'Stand still'}
            onClick={togglePause}
          >
            {paused ? <Icon name="again" /> : <PauseIcon />}
          </button>
          <ThemeToggle />
        </div>
      </header>
      <News verdict={verdict} summary={summary} />
      <div className="ops-body">
        <Menu place={place} />
        <main id="main" tabIndex={-1}>
          {isLocked && known.failure ? (
            <TokenPrompt failure={known.failure} />
          ) : (
            <>
              <Trouble state={state} known={known} now={now} />
              <Guarded key={place.section} what="This section">
                <Section place={place} summary={summary} />
              </Guarded>
            </>
          )}
        </main>
      </div>
    </StandingProvider>
  );
}

/** This browser's clock, once a second. */
function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 1_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Not among the chat page's icons, which that page would carry. */
function PauseIcon() {
  return (
    <svg className="icon" viewBox="0 0 20 20" aria-hidden="true">
      <path d="M7.5 5v10M12.5 5v10" />
    </svg>
  );
}

/** Not a link: the address after `#` says which section is open. */
function focusMain(): void {
  document.getElementById('main')?.focus();
}

/** The tab says how it goes. */
function useTitle(verdict: Verdict, summary: Summary | undefined): void {
  const wrong = summary?.insights.length ?? 0;
  const count = wrong > 0 && verdict !== 'unknown' ? ` (${wrong})` : '';
  const title = `${verdictWord(verdict)}${count} · Threadmill ops`;
  useEffect(() => {
    document.title = title;
  }, [title]);
}

function Verdicts({ verdict, line }: { verdict: Verdict; line: string }) {
  return (
    <div className="verdict" data-verdict={verdict}>
      <Mark />
      <h1>
        <span className="visually-hidden">Threadmill ops: </span>
        <span className="verdict-word">{verdictWord(verdict)}</span>
      </h1>
      <p className="verdict-line">{line}</p>
    </div>
  );
}

function NodeLine({ summary }: { summary: Summary | undefined }) {
  if (!summary) return <p className="node-line" />;
  const { name, version, mode, status, ready, uptimeMs } = summary.node;
  return (
    <p className="node-line">
      <span title={name}>
        Node <span className="mono">{short(name)}</span>
      </span>
      <span>{version}</span>
      <span data-bad={!ready || undefined}>{status || (ready ? 'ready' : 'not ready')}</span>
      <span data-bad={mode !== 'full' || undefined}>{mode}</span>
      <span>up {span(uptimeMs)}</span>
      <span>{summary.write ? 'actions allowed' : 'read-only'}</span>
    </p>
  );
}

const CURRENCY: Readonly<Record<Freshness, string>> = {
  waiting: 'asking',
  fresh: 'live',
  old: 'old',
  paused: 'standing still',
  silent: 'no answer',
  failed: 'error',
  locked: 'no token',
  off: 'off',
};

/** How old what is shown is; its place keeps its width. */
function Currency({ state, known, now }: { state: Freshness; known: Known<unknown>; now: number }) {
  const { answeredAt } = known;
  return (
    <span className="currency" data-state={state}>
      <span className="dot" aria-hidden="true" />
      {CURRENCY[state]}
      <span className="currency-age">
        {answeredAt === undefined ? '' : ` · ${Math.max(0, Math.round((now - answeredAt) / 1_000))} s`}
      </span>
    </span>
  );
}

/** Says to who hears the page what became otherwise, and nothing as long as it stays. */
function News({ verdict, summary }: { verdict: Verdict; summary: Summary | undefined }) {
  return (
    <div className="visually-hidden" role="status">
      {newsOf(verdict, summary?.insights ?? [])}
    </div>
  );
}

/** What stands above everything when the node does not answer as it should. */
function Trouble({ state, known, now }: { state: Freshness; known: Known<Summary>; now: number }) {
  const { failure, answeredAt } = known;
  if (state === 'silent') {
    return (
      <div className="trouble" role="alert">
        <p>
          <b>The node does not answer.</b>{' '}
          {answeredAt === undefined
            ? 'It has not since this page was opened.'
            : `It did last at ${clock(answeredAt)}, ${span(now - answeredAt)} ago.`}
        </p>
        <p>Is its process running? Does its port answer? Is it what stands before it that is away?</p>
        <Command text={`curl -sS -m 5 ${location.origin}/livez ${location.origin}/readyz`} />
      </div>
    );
  }
  return (state === 'failed' || state === 'off') && failure ? (
    <Why
      failure={failure}
      off="The ops API is off here: set [ops] token_file or THREADMILL_OPS_TOKEN, or ask at the address of [ops] listen."
    />
  ) : null;
}

function Menu({ place }: { place: Place }) {
  const menu = useRef<HTMLElement>(null);
  const { section } = place;
  // On a narrow page the menu is a line that is longer than the page.
  useEffect(() => {
    const open = menu.current?.querySelector(`[href="${addressOf(section)}"]`);
    open?.scrollIntoView({ block: 'nearest', inline: 'center' });
  }, [section]);
  return (
    <nav className="ops-menu" aria-label="Sections" ref={menu}>
      <ul>
        {SECTIONS.map(({ id, title }) => (
          <li key={id}>
            <a href={addressOf(id)} aria-current={id === section ? 'page' : undefined}>
              {title}
            </a>
          </li>
        ))}
      </ul>
    </nav>
  );
}

function Section({ place: { section, rest }, summary }: { place: Place; summary: Summary | undefined }) {
  switch (section) {
    case 'now':
      return <NowView summary={summary} />;
    case 'threads':
      return <ThreadsView rest={rest} />;
    case 'runs':
      return <RunsView />;
    case 'trace':
      return <TraceView key={rest.join('/')} rest={rest} />;
    case 'connections':
      return <ConnectionsView />;
    case 'locks':
      return <LocksView />;
    case 'hot':
      return <HotView />;
    case 'nodes':
      return <NodesView />;
    case 'rollout':
      return <RolloutView rest={rest} />;
    case 'analytics':
      return <AnalyticsView />;
    case 'budgets':
      return <BudgetsView />;
    case 'errors':
      return <ErrorsView />;
    case 'audit':
      return <AuditView />;
  }
}
