//! What each tab asks and shows.

use serde_json::Value;

use super::fields::{ago, amount, items, number, state, text, tone, word};
use super::page::{Block, Chart, Line};
use super::words::{Tone, Word};

/// The pages, in the order of their keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Tab {
    Now,
    Runs,
    Connections,
    Locks,
    Hot,
    Nodes,
    Rollouts,
    Errors,
}

impl Tab {
    pub(super) const ALL: [Self; 8] =
        [Self::Now, Self::Runs, Self::Connections, Self::Locks, Self::Hot, Self::Nodes, Self::Rollouts, Self::Errors];

    pub(super) fn title(self) -> &'static str {
        match self {
            Self::Now => "Now",
            Self::Runs => "Runs",
            Self::Connections => "Connections",
            Self::Locks => "Locks",
            Self::Hot => "Hot",
            Self::Nodes => "Nodes",
            Self::Rollouts => "Rollouts",
            Self::Errors => "Errors",
        }
    }

    /// What it asks below `/ops/api`, and its name in `--json`.
    pub(super) fn path(self) -> &'static str {
        match self {
            Self::Now => "summary",
            Self::Runs => "runs",
            Self::Connections => "connections",
            Self::Locks => "locks",
            Self::Hot => "hot",
            Self::Nodes => "nodes",
            Self::Rollouts => "rollouts",
            Self::Errors => "errors",
        }
    }

    /// The tab so many places further, around the end.
    pub(super) fn step(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// Series that the first tab draws: a metric, which of its numbers, what it is called, its unit, and the place of its newest
/// value among the summary's figures.
type Series = (&'static str, &'static str, &'static str, &'static str, &'static str);

const SERIES: [Series; 9] = [
    ("threadmill_connections", "value", "connections", "", "/connections"),
    ("threadmill_runs", "value", "runs", "", "/runs"),
    ("threadmill_operations_total", "rate", "operations", "rate", "/operationsPerSecond"),
    ("threadmill_first_token_seconds", "p99", "first token, p99", "ms", "/firstTokenMs/p99"),
    ("threadmill_deliver_lag_seconds", "p99", "delivery, p99", "ms", "/deliverLagMs/p99"),
    ("threadmill_commit_seconds", "p99", "commit, p99", "ms", "/commitSyncMs/p99"),
    ("threadmill_runtime_busy_share", "value", "busy workers", "share", ""),
    ("process_resident_memory_bytes", "value", "memory", "bytes", "/residentBytes"),
    ("threadmill_unsent_bytes", "value", "unsent", "bytes", "/unsentBytes"),
];

/// What is asked for the charts.
pub(super) fn series_path() -> String {
    let names: Vec<&str> = SERIES.iter().map(|series| series.0).collect();
    format!("series?minutes=20&names={}", names.join(","))
}

/// A tab's blocks, of the answer to its question; `summary` and `series` are those of the first.
pub(super) fn blocks(tab: Tab, answer: &Value, summary: &Value, series: &Value) -> Vec<Block> {
    match tab {
        Tab::Now => now(summary, series),
        Tab::Runs => runs(answer, &summary["at"]),
        Tab::Connections => connections(answer),
        Tab::Locks => locks(answer),
        Tab::Hot => hot(answer),
        Tab::Nodes => nodes(answer, &summary["at"]),
        Tab::Rollouts => rollouts(answer),
        Tab::Errors => errors(answer, &summary["at"]),
    }
}

/// The line above every tab.
pub(super) fn verdict(summary: &Value) -> Line {
    let said = text(summary, "verdict");
    let sign = match said {
        "ok" => "●",
        "watch" => "▲",
        "act" => "■",
        _ => "?",
    };
    vec![Word::new(sign, tone(said)), Word::plain(" "), Word::new(text(summary, "line"), tone(said))]
}

fn line(words: impl IntoIterator<Item = Word>) -> Block {
    Block::Line(words.into_iter().collect())
}

fn blank() -> Block {
    line([])
}

/// `name value` pairs in a line.
fn facts<const N: usize>(all: [(&str, Word); N]) -> Block {
    let pair = |(name, value): (&str, Word)| [Word::plain("  "), Word::dim(name), Word::plain(" "), value];
    Block::Line(all.into_iter().flat_map(pair).collect())
}

fn now(summary: &Value, series: &Value) -> Vec<Block> {
    let (node, figures) = (&summary["node"], &summary["figures"]);
    let mut out = vec![
        facts([
            ("node", word(node, "name")),
            ("version", word(node, "version")),
            ("up", amount(&node["uptimeMs"], "ms")),
            ("status", state(node, "status")),
            ("mode", state(node, "mode")),
        ]),
        facts([
            ("hit rate", amount(&figures["hitRate"], "share")),
            ("fallback", amount(&figures["fallbackShare"], "share")),
            ("lock failures", amount(&figures["lockFailureShare"], "share")),
            ("errors", amount(&figures["errorShare"], "share")),
        ]),
        blank(),
    ];
    for insight in items(summary, "insights") {
        out.extend(card(insight, &summary["at"]));
    }
    out.extend(SERIES.iter().map(|of| chart(of, figures, series)));
    out.push(blank());
    let watched = items(summary, "watched");
    let few = watched.iter().filter(|one| text(one, "state") == "few").count();
    let none = watched.iter().filter(|one| text(one, "state") == "none").count();
    let counts = format!("  {} concerns watched; {few} with too few samples, {none} not measured here", watched.len());
    out.push(Block::Text(0, Word::dim(&counts)));
    out
}

/// What is wrong: what, who, since when, why, what to do.
fn card(insight: &Value, now: &Value) -> Vec<Block> {
    let tone = tone(text(insight, "severity"));
    let title = [Word::new("▌ ", tone), Word::new(text(insight, "title"), tone), Word::dim("  since ")];
    let mut out = vec![Block::Line([&title[..], &[ago(&insight["since"], now)]].concat())];
    out.push(Block::Text(2, Word::new(text(insight, "what"), Tone::Strong)));
    for (name, label) in [("who", "Who"), ("why", "Why"), ("act", "Do")] {
        out.push(Block::Text(2, Word::plain(&format!("{label}: {}", text(insight, name)))));
    }
    out.push(Block::Text(2, Word::dim(&format!("$ {}", text(insight, "command")))));
    out.push(blank());
    out
}

fn chart(of: &Series, figures: &Value, series: &Value) -> Block {
    let (metric, stat, name, unit, place) = *of;
    let found = items(series, "series").iter().filter(|one| text(one, "name") == metric && text(one, "stat") == stat);
    let mut points: Vec<Option<f64>> = Vec::new();
    for one in found {
        let these = items(one, "points");
        points.resize(points.len().max(these.len()), None);
        // Of several label sets a number is their sum, and a share of all the highest.
        for (sum, point) in points.iter_mut().zip(these.iter().map(number)) {
            *sum = match (*sum, point) {
                (Some(a), Some(b)) if stat == "p99" => Some(a.max(b)),
                (Some(a), Some(b)) => Some(a + b),
                (a, b) => a.or(b),
            };
        }
    }
    let newest = || points.last().copied().flatten().map_or(Value::Null, Value::from);
    let number = figures.pointer(place).filter(|_| !place.is_empty()).cloned().unwrap_or_else(newest);
    Block::Chart(Chart { name, number: amount(&number, unit), points })
}

fn runs(answer: &Value, now: &Value) -> Vec<Block> {
    let row = |run: &Value| {
        let how = if run["outcome"].is_null() { state(run, "state") } else { state(run, "outcome") };
        let why = if run["failure"].is_null() { Word::plain("") } else { Word::new(text(run, "failure"), Tone::Bad) };
        vec![
            ago(&run["acceptedAt"], now),
            how,
            word(run, "provider"),
            amount(&run["firstByteMs"], "ms"),
            amount(&run["endedMs"], "ms"),
            word(run, "chunks"),
            word(run, "user"),
            word(run, "thread"),
            why,
        ]
    };
    let head = &[">ago", "state", "provider", ">first", ">took", ">chunks", "user", "thread", "failure"];
    let rows = items(answer, "runs").iter().map(row).collect();
    vec![facts([("live", word(answer, "live"))]), blank(), Block::Table(head, rows)]
}

fn connections(answer: &Value) -> Vec<Block> {
    let row = |one: &Value| ["tenant", "user", "live", "opened"].map(|name| word(one, name)).to_vec();
    vec![
        facts([
            ("open", word(answer, "open")),
            ("sockets", word(answer, "sockets")),
            ("streams", word(answer, "streams")),
            ("users", word(answer, "users")),
            ("unsent", amount(&answer["unsentBytes"], "bytes")),
        ]),
        blank(),
        Block::Table(&["tenant", "user", ">live", ">opened"], items(answer, "connections").iter().map(row).collect()),
    ]
}

fn locks(answer: &Value) -> Vec<Block> {
    let row = |held: &Value| {
        let name = ["tenant", "name", "user"].map(|name| word(held, name));
        [&name[..], &[amount(&held["heldMs"], "ms"), word(held, "waiting"), word(held, "token")]].concat()
    };
    vec![
        facts([
            ("attempts", word(answer, "attempts")),
            ("granted", word(answer, "granted")),
            ("timed out", word(answer, "timedOut")),
            ("fenced", word(answer, "fenced")),
            ("failures", amount(&answer["failureShare"], "share")),
        ]),
        facts([
            ("waiting", word(answer, "waiting")),
            ("wait p99", amount(&answer["waitMs"]["p99"], "ms")),
            ("held p99", amount(&answer["holdMs"]["p99"], "ms")),
        ]),
        blank(),
        Block::Table(
            &["tenant", "lock", "user", ">held", ">waiting", ">token"],
            items(answer, "held").iter().map(row).collect(),
        ),
    ]
}

fn hot(answer: &Value) -> Vec<Block> {
    let row = |call: &Value| {
        let counts = ["op", "calls", "timeouts", "outages"].map(|name| word(call, name));
        [&counts[..], &[amount(&call["meanMs"], "ms")]].concat()
    };
    let has = if answer["configured"] == true { "a hot tier" } else { "this node's memory alone" };
    vec![
        facts([("is", Word::plain(has)), ("mode", state(answer, "mode")), ("up", amount(&answer["uptime"], "share"))]),
        facts([
            ("hit rate", amount(&answer["hitRate"], "share")),
            ("kept", word(answer, "keptHits")),
            ("missed", word(answer, "keptMisses")),
            ("fallback", amount(&answer["fallbackShare"], "share")),
        ]),
        facts([
            ("sent", word(answer, "spread")),
            ("dropped", word(answer, "dropped")),
            ("switches", word(answer, "switches")),
            ("unsealed", word(answer, "unverified")),
        ]),
        blank(),
        Block::Table(
            &["call", ">calls", ">timeouts", ">outages", ">mean"],
            items(answer, "calls").iter().map(row).collect(),
        ),
    ]
}

fn nodes(answer: &Value, now: &Value) -> Vec<Block> {
    let row = |node: &Value| {
        let own = if node["self"] == true { "this one" } else { "" };
        vec![
            word(node, "name"),
            state(node, "state"),
            state(node, "mode"),
            word(node, "runs"),
            word(node, "connections"),
            amount(&node["skewMs"], "ms"),
            amount(&node["seenMs"], "ms"),
            ago(&node["startedAt"], now),
            word(node, "version"),
            Word::dim(own),
        ]
    };
    let head = &["node", "state", "mode", ">runs", ">connections", ">skew", ">seen", ">up", "version", ""];
    vec![Block::Table(head, items(answer, "nodes").iter().map(row).collect())]
}

fn rollouts(answer: &Value) -> Vec<Block> {
    let row = |rollout: &Value| {
        vec![
            word(rollout, "flag"),
            state(rollout, "status"),
            word(rollout, "stage"),
            word(rollout, "unit"),
            word(rollout, "why"),
        ]
    };
    let head = &["flag", "status", "stage", "unit", "why"];
    let write = if answer["write"] == true { "may be moved here" } else { "read only: --ops-write lets them be moved" };
    let rows = items(answer, "rollouts").iter().map(row).collect();
    vec![Block::Text(2, Word::dim(write)), blank(), Block::Table(head, rows)]
}

fn errors(answer: &Value, now: &Value) -> Vec<Block> {
    let row = |error: &Value| {
        let status = number(&error["status"]).unwrap_or_default();
        let tone = if status >= 500.0 { Tone::Bad } else { Tone::Warn };
        vec![
            ago(&error["at"], now),
            Word::new(&status.to_string(), tone),
            word(error, "code"),
            word(error, "method"),
            word(error, "route"),
            amount(&error["tookMs"], "ms"),
            word(error, "user"),
            word(error, "request"),
        ]
    };
    let head = &[">ago", ">status", "code", "method", "route", ">took", "user", "request"];
    vec![Block::Table(head, items(answer, "errors").iter().map(row).collect())]
}
