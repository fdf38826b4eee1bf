//! Answers of the ops API as `docs/operations.md` has them, for states that a real node is not in when one looks: recorded
//! by hand, with times made current. What a real node says is checked in `real.mjs`.

import { analytics } from './answers-analytics.mjs';

const NODE = '01935d2e-7b1c-7c3e-9a51-5f0a7c1d2e3f';
const THREAD = '01935d40-1111-7abc-8def-0123456789ab';
const id = n => `01935d4${n % 10}-2222-7abc-8def-${String(n).padStart(12, '0')}`;
const ago = seconds => new Date(Date.now() - seconds * 1_000).toISOString();

const INCIDENTS = [
  {
    id: 'hot-slow',
    title: 'The hot tier is slow',
    severity: 'warning',
    what: 'Of 2,310 calls, 31.0 % took longer than 50 ms; 5 % is the most.',
    who: '2,310 calls of node 01935d2e… in 5 minutes',
    since: ago(620),
    why: 'Redis answers slowly: it is overloaded, swapping, or far away; or the network between is full.',
    act: 'Look at the latency of Redis itself, then at the network. Streams fall back by themselves meanwhile.',
    command: 'redis-cli -u "$THREADMILL_REDIS_URL" --latency-history -i 5',
    runbook: 'docs/runbook.md#hot-slow',
    value: 0.31,
    threshold: 0.05,
    unit: 'share',
    samples: 2310,
    source: 'measured: a call on one machine takes 0.4 ms',
  },
  {
    id: 'lock-hogged',
    title: 'A lock is held while others wait',
    severity: 'warning',
    what: 'The longest is held for 4 min while 3 wait; 60 s is the most.',
    who: '3 waiting requests on node 01935d2e…',
    since: ago(245),
    why: 'Its holder works long, hangs, or forgot to give it back.',
    act: 'See who holds it in the list of locks; release it there if its holder is gone.',
    command: 'curl -s $THREADMILL_URL/ops/api/locks',
    runbook: 'docs/runbook.md#lock-hogged',
    value: 245,
    threshold: 60,
    unit: 'seconds',
    samples: 3,
    source: 'this project',
  },
  {
    id: 'node-asleep',
    title: 'A node is asleep',
    severity: 'critical',
    what: 'One of three nodes has said nothing for 84 s; 20 s is the most.',
    who: 'node 01935d31…, with 41 connections when it was last heard',
    since: ago(84),
    why: 'Its process hangs, its machine is asleep or gone, or it cannot reach the database.',
    act: 'Look at its log and its machine; restart it. Its runs are taken over by themselves.',
    command: 'systemctl status threadmill',
    runbook: 'docs/runbook.md#node-asleep',
    value: 1,
    threshold: 0,
    unit: 'count',
    samples: 1,
    source: 'heads are compared every 1.5 s',
  },
];

function summary(state) {
  const insights = state.incident ? INCIDENTS : [];
  return {
    verdict: state.incident ? 'act' : 'ok',
    line: state.incident
      ? '3 of 21 concerns need somebody: a node is asleep.'
      : 'All is well: 21 concerns watched, nothing is wrong.',
    at: new Date().toISOString(),
    windowSeconds: 300,
    node: {
      name: NODE,
      version: '0.1.0',
      startedAt: ago(86_400),
      uptimeMs: 86_400_000,
      ready: true,
      status: 'ready',
      mode: state.incident ? 'degraded' : 'full',
    },
    write: state.write,
    figures: {
      connections: 128,
      runs: 3,
      operationsPerSecond: 210.5 + Math.sin(Date.now() / 5_000) * 40,
      hitRate: 0.97,
      fallbackShare: 0.001,
      firstTokenMs: { p50: 310, p99: 900 },
      deliverLagMs: { p50: 0.2, p99: 4 },
      commitSyncMs: { p50: 1.1, p99: 6 },
      lockFailureShare: 0,
      residentBytes: 51_200_000,
      unsentBytes: 0,
      hotUptime: 1,
      errorShare: 0,
      threadBytes: { p50: 90_000, p99: 400_000 },
    },
    insights,
    watched: [
      ['hot-hit-rate', 'Hot hit rate', 'warning', 'ok', 0.97, 0.8, 'share', 5_120],
      [
        'hot-slow',
        'The hot tier is slow',
        'warning',
        state.incident ? 'firing' : 'ok',
        0.31,
        0.05,
        'share',
        2_310,
      ],
      ['lock-failures', 'Locks are waited for in vain', 'warning', 'few', 0, 0.05, 'share', 12],
      ['backup-age', 'The last backup is old', 'warning', 'none', null, 93_600, 'seconds', null],
      ['not-ready', 'A node takes no requests', 'critical', 'ok', 1, 1, 'flag', 30],
    ].map(([id, title, severity, state, value, threshold, unit, samples]) => ({
      id,
      title,
      severity,
      state,
      value,
      threshold,
      unit,
      samples,
    })),
  };
}

const SERIES = [
  ['threadmill_answers_total', 'rate', { status: '2xx' }, 180, 60],
  ['threadmill_answers_total', 'rate', { status: '4xx' }, 2, 2],
  ['threadmill_answers_total', 'rate', { status: '5xx' }, 0, 0],
  ['threadmill_first_token_seconds', 'p50', {}, 0.31, 0.05],
  ['threadmill_first_token_seconds', 'p99', {}, 0.9, 0.3],
  ['threadmill_deliver_lag_seconds', 'p50', {}, 0.0002, 0.0001],
  ['threadmill_deliver_lag_seconds', 'p99', {}, 0.004, 0.003],
  ['threadmill_commit_seconds', 'p50', {}, 0.0011, 0.0003],
  ['threadmill_commit_seconds', 'p99', {}, 0.006, 0.003],
  ['threadmill_operations_total', 'rate', { tier: 'durable', kind: 'apply' }, 60, 20],
  ['threadmill_operations_total', 'rate', { tier: 'hot', kind: 'extend' }, 150, 50],
  ['threadmill_kept_windows_total', 'rate', { outcome: 'hit' }, 40, 10],
  ['threadmill_kept_windows_total', 'rate', { outcome: 'miss' }, 2, 1],
  ['threadmill_hot_reads_total', 'rate', { outcome: 'hit' }, 30, 10],
  ['threadmill_hot_reads_total', 'rate', { outcome: 'fallback' }, 0.02, 0.02],
  ['threadmill_connections', 'value', {}, 128, 20],
  ['threadmill_runs', 'value', {}, 3, 3],
  ['threadmill_run_outcomes_total', 'rate', { outcome: 'complete' }, 1.2, 0.4],
  ['threadmill_run_outcomes_total', 'rate', { outcome: 'failed' }, 0.01, 0.01],
  ['threadmill_lock_wait_seconds', 'p50', {}, 0.0001, 0],
  ['threadmill_lock_wait_seconds', 'p99', {}, 0.012, 0.01],
  ['process_resident_memory_bytes', 'value', {}, 51_200_000, 2_000_000],
  ['threadmill_unsent_bytes', 'value', {}, 0, 0],
  ['threadmill_resets_total', 'rate', { reason: 'slow' }, 0, 0],
  ['threadmill_runtime_late_seconds', 'p50', {}, 0.0002, 0.0001],
  ['threadmill_runtime_late_seconds', 'p99', {}, 0.002, 0.001],
];

function series(query) {
  const step = 10;
  const minutes = Number(query.get('minutes') ?? 60);
  const to = Math.floor(Date.now() / 10_000) * 10_000;
  const count = minutes * 6;
  const names = (query.get('names') ?? '').split(',');
  return {
    stepSeconds: step,
    from: new Date(to - (count - 1) * 10_000).toISOString(),
    to: new Date(to).toISOString(),
    series: SERIES.filter(([name]) => names.includes(name)).map(([name, stat, labels, mean, swing], n) => ({
      name,
      kind: 'gauge',
      labels,
      stat,
      unit: '',
      points: Array.from({ length: count }, (_, at) => {
        const time = to / 10_000 - (count - 1 - at);
        // A quarter of an hour in which nothing was measured.
        if (time % 360 > 300 && time % 360 < 330) return null;
        return Math.max(0, mean + swing * Math.sin(time / (7 + n)) * Math.cos(time / (3 + (n % 4))));
      }),
    })),
  };
}

function runs(state) {
  const run = (n, acceptedAgo, rest) => ({
    id: id(n),
    tenant: 'default',
    thread: THREAD,
    provider: n % 2 === 0 ? 'openai' : 'replay',
    fence: n,
    acceptedAt: ago(acceptedAgo),
    askedMs: 2.1,
    firstByteMs: 310,
    firstCommitMs: 312.5,
    firstDeliveryMs: 313.1,
    endedMs: 4_100,
    commits: 210,
    chunks: 540,
    bytes: 18_200,
    failure: null,
    state: 'ended',
    outcome: 'complete',
    ...rest,
  });
  const none = { firstByteMs: null, firstCommitMs: null, firstDeliveryMs: null, endedMs: null };
  return {
    runs: [
      run(1, 8, { ...none, state: 'asking', outcome: null, commits: 0, chunks: 0, bytes: 0 }),
      run(2, 12, { endedMs: null, state: 'streaming', outcome: null }),
      ...(state.incident
        ? [run(3, 150, { ...none, state: 'asking', outcome: null, commits: 0, chunks: 0, bytes: 0 })]
        : []),
      run(4, 60, {}),
      run(5, 90, {
        outcome: 'failed',
        failure: 'rate_limited',
        endedMs: 900,
        firstByteMs: 850,
        firstCommitMs: null,
        firstDeliveryMs: null,
      }),
      run(6, 300, { outcome: 'stopped', endedMs: 1_200 }),
      run(7, 4_000, { outcome: 'lost' }),
    ],
    live: 2,
    more: false,
  };
}

const thread = (tenant, threadId, withText) => ({
  tenant,
  user: 'ada',
  id: threadId,
  createdAt: ago(200_000),
  updatedAt: ago(8),
  position: { epoch: 3, seq: 120, hash: '9f86d081884c7d659a2feaa0c55ad015' },
  messages: 57,
  defaultBranch: id(20),
  branches: [
    { id: id(20), parent: null, forkDepth: 0, length: 57, default: true },
    { id: id(21), parent: id(20), forkDepth: 12, length: 20, default: false },
  ],
  moreBranches: false,
  log: [
    { seq: 118, at: ago(30), kind: 'message-appended', messageId: id(31), run: null },
    { seq: 119, at: ago(29), kind: 'run-started', messageId: id(32), run: id(2) },
    { seq: 120, at: ago(8), kind: 'run-ended', messageId: id(32), run: id(2) },
  ],
  live: { followed: true, watchers: 2, runs: [{ id: id(2), message: id(32), offset: 311 }] },
  keptWindows: 3,
  window: {
    from: 55,
    to: 57,
    messages: [
      ['user', 912, 'A secret of the user'],
      ['assistant', 18_200, 'An answer that nobody has to see'],
    ].map(([role, bytes, text], at) => ({
      id: id(31 + at),
      depth: 55 + at,
      role,
      status: 'complete',
      bytes,
      digest: 'b3a8e0e1f9ab1bfe3a36f231f676f78b',
      ...(withText ? { text } : {}),
    })),
  },
  digest: '2c26b46b68ffc68ff99b453c1d304134',
});

const OTHERS = {
  connections: () => ({
    open: 128,
    opened: 3_400,
    sockets: 141,
    unsentBytes: 0,
    users: 90,
    connections: ['ada', 'grace', 'internationalisierungskomitee'.repeat(4)].map((user, at) => ({
      tenant: 'default',
      user,
      live: 9 - at,
      opened: 20,
    })),
    more: true,
  }),
  locks: state => ({
    attempts: 1_010,
    granted: 1_004,
    timedOut: 6,
    failureShare: 0.006,
    waiting: state.incident ? 3 : 0,
    waitMs: { p50: 0.1, p99: 12 },
    holdMs: { p50: 30, p99: 400 },
    held: state.incident
      ? [
          {
            tenant: 'default',
            name: 'report',
            user: 'ada',
            token: 4,
            since: ago(245),
            until: ago(-55),
            heldMs: 245_000,
            waiting: 3,
          },
        ]
      : [],
    more: false,
  }),
  hot: () => ({
    configured: true,
    mode: 'full',
    uptime: 0.999,
    hits: 10_400,
    fallbacks: 7,
    fallbackShare: 0.0007,
    pageHits: 4,
    pageMisses: 9,
    keptHits: 4_400,
    keptMisses: 130,
    hitRate: 0.97,
    spread: 120,
    dropped: 0,
    switches: 0,
    unverified: 0,
    calls: [{ op: 'extend', calls: 4_000, timeouts: 0, outages: 0, meanMs: 0.4 }],
  }),
  nodes: state => ({
    nodes: [
      {
        name: NODE,
        self: true,
        version: '0.1.0',
        startedAt: ago(86_400),
        seenMs: 0,
        skewMs: 0.4,
        ready: true,
        mode: 'full',
        runs: 3,
        connections: 128,
        state: 'awake',
      },
      {
        name: '01935d31-7b1c-7c3e-9a51-5f0a7c1d2e40',
        self: false,
        version: '0.1.0',
        startedAt: ago(86_000),
        seenMs: state.incident ? 84_000 : 700,
        skewMs: -3,
        ready: true,
        mode: 'full',
        runs: 1,
        connections: 41,
        state: state.incident ? 'asleep' : 'awake',
      },
    ],
  }),
  errors: () => ({
    errors: [
      {
        request: id(41),
        at: ago(20),
        method: 'POST',
        route: '/v1/threads/{thread}/messages',
        status: 503,
        code: 'overloaded',
        tenant: 'default',
        user: 'ada',
        tookMs: 12,
      },
      {
        request: id(42),
        at: ago(60),
        method: 'GET',
        route: '/v1/threads/{thread}',
        status: 404,
        code: 'thread_not_found',
        tenant: 'default',
        user: 'grace',
        tookMs: 0.4,
      },
    ],
  }),
  audit: state => ({ audit: state.audit }),
  analytics,
  usage: () => ({
    tenant: 'default',
    days: {
      '2026-11-28': { runs: 3, tokens: 2_016, money: 13_656 },
      '2026-11-29': { runs: 40, tokens: 49_000, money: 913_656 },
    },
    budgets: [
      {
        budget: 'user/day',
        period: '2026-11-30 00:00 UTC',
        subject: 'default/ada',
        unit: 'money',
        spent: 2_100_000,
        held: 200_000,
        limit: 2_500_000,
      },
      {
        budget: 'tenant/month',
        period: '2026-12-01 00:00 UTC',
        subject: 'default',
        unit: 'tokens',
        spent: 51_016,
        held: 0,
        limit: 1_000_000,
      },
    ],
  }),
  feedback: () => ({
    reports: [{ at: Date.now() - 60_000, text: 'The answer was about another question.' }],
  }),
  rollouts: () => ({ rollouts: [ROLLOUT], write: true }),
  'rollouts/scalable-sync': () => ({
    ...ROLLOUT,
    next: { move: 'wait', why: 'The dwell of 24 h is not over.' },
    gates: [
      {
        metric: 'errors',
        finding: 'passed',
        old: 0.01,
        new: 0.011,
        low: -0.002,
        high: 0.004,
        oldTrials: 9_000,
        newTrials: 3_000,
      },
      {
        metric: 'heap',
        finding: 'no-data',
        old: null,
        new: null,
        low: null,
        high: null,
        oldTrials: 0,
        newTrials: 0,
      },
    ],
    log: [
      {
        at: Date.now() - 5_000_000,
        who: 'ada',
        what: 'start',
        why: 'The checklist.',
        status: 'running',
        stage: 'off',
      },
    ],
  }),
};

const ROLLOUT = {
  flag: 'scalable-sync',
  status: 'running',
  stage: '25%',
  at: 3,
  since: Date.now() - 5_000_000,
  started: Date.now() - 300_000_000,
  round: 0,
  why: 'The gates of 5% passed.',
  unit: 'user',
  internal: 3,
  startsAt: null,
  stages: ['off', 'internal', '5%', '25%', '100%'].map(reach => ({ reach, dwellMs: 86_400_000 })),
};

/** What a path answers; nothing where the node has no such route. */
export function answerTo(path, query, state) {
  if (path === 'summary') return summary(state);
  if (path === 'series') return series(query);
  if (path === 'runs') return runs(state);
  if (path === 'threads') {
    const found = THREAD.startsWith(query.get('find') ?? '')
      ? [{ tenant: 'default', user: 'ada', id: THREAD }]
      : [];
    return { threads: found, more: false };
  }
  const [, tenant, threadId] = /^threads\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
  if (threadId) return thread(tenant, threadId, query.get('text') === '1');
  return OTHERS[path]?.(state);
}

export { NODE, THREAD };
