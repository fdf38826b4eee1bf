//! What a window costs does not depend on the thread: SQLite's own counters say so, whatever the machine.
//!
//! By default the threads are as long as a test has time for; `THREADMILL_FULL=1` makes them a million messages
//! and ten thousand nested forks.

use std::collections::BTreeSet;
use std::sync::Arc;

use tempfile::TempDir;
use threadmill_proto::{Anchor, Scope, ThreadId};
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::costs::of_each_write;
use threadmill_store::conformance::kit::shapes::{import, line, nested};
use threadmill_store::conformance::kit::{branch_id, scope};
use threadmill_store::{DurableStore as _, PageLimits, WindowQuery};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore, WindowCost};

/// The bar: steps on any thread, in hundredths of those on a thread of 100 messages.
const PERCENT: u64 = 110;
/// Steps that a page takes for each further branch it lies on: the range of its slots there is a statement.
const STATEMENT: u64 = 12;

struct Sizes {
    long: u64,
    nested: u64,
}

fn sizes() -> Sizes {
    if std::env::var_os("THREADMILL_FULL").is_some() {
        Sizes { long: 1_000_000, nested: 10_000 }
    } else {
        Sizes { long: 50_000, nested: 300 }
    }
}

struct Gate {
    store: Arc<SqliteStore>,
    scope: Scope,
}

impl Gate {
    async fn cost(&self, thread: &ThreadId, line: Option<&str>, anchor: Anchor) -> (WindowCost, u64) {
        let after = if anchor == Anchor::Tip { 0 } else { 25 };
        let query = WindowQuery {
            thread: thread.clone(),
            branch: line.map(branch_id),
            anchor,
            before: 50 - after,
            after,
            limits: PageLimits::DEFAULT,
        };
        let window = self.store.window(&self.scope, query.clone()).await.expect("reads");
        assert_eq!(window.messages.len(), 50, "the same page");
        let branches: BTreeSet<_> = window.messages.iter().map(|message| &message.branch).collect();
        let cost = self.store.window_cost(&self.scope, query).await.expect("reads");
        (cost, branches.len() as u64)
    }

    /// Holds a thread's windows, at the tip and at many depths, to those of a short thread.
    async fn hold(&self, short: &ThreadId, thread: &ThreadId, line: Option<&str>, total: u64) {
        let mut places = vec![Anchor::Tip];
        // Depths all over the thread, the same ones every time.
        let spread = (1..=40u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (total - 50));
        places.extend(spread.map(|depth| Anchor::Depth(depth + 25)));
        let (mut most, mut least) = (0, u64::MAX);
        for anchor in places {
            let reference = if anchor == Anchor::Tip { Anchor::Tip } else { Anchor::Depth(50) };
            let (allowed, _) = self.cost(short, None, reference).await;
            let (cost, branches) = self.cost(thread, line, anchor.clone()).await;
            assert_eq!(cost.fullscan_steps, 0, "{thread} at {anchor:?}");
            let steps = cost.vm_steps.saturating_sub(STATEMENT * (branches - 1));
            let hundredths = steps * 100 / allowed.vm_steps;
            assert!(
                hundredths <= PERCENT,
                "{thread} at {anchor:?}: {} steps on {branches} branches, {} on 100 messages",
                cost.vm_steps,
                allowed.vm_steps
            );
            (most, least) = (most.max(hundredths), least.min(hundredths));
        }
        println!("proof: {thread} {line:?}, steps of SQLite's machine | {least} to {most} % of those on 100 messages");
    }
}

#[tokio::test]
async fn a_window_costs_the_same_on_every_thread() {
    let directory = TempDir::new().expect("a directory");
    let store = SqliteStore::open(directory.path(), SqliteOptions::default()).expect("opens");
    let (scope, sizes) = (scope("acme", "ann"), sizes());
    // With a fork, since threads without any are spared the look for siblings.
    let short = import(store.as_ref(), &scope, "short", line(100, &[5]), None).await;
    let plain = import(store.as_ref(), &scope, "plain", line(100, &[]), None).await;
    let deep = [sizes.long / 3, sizes.long / 2, sizes.long - 30];
    let long = import(store.as_ref(), &scope, "long", line(sizes.long, &deep), None).await;
    let last = format!("b{}", sizes.nested - 1);
    let tip = Some(branch_id(&last));
    let twisted = import(store.as_ref(), &scope, "nested", nested(sizes.nested), tip).await;
    let gate = Gate { store, scope };
    gate.hold(&short, &plain, None, 100).await;
    gate.hold(&short, &long, None, sizes.long).await;
    for at in deep {
        let name = format!("fork-{at}");
        gate.hold(&short, &long, Some(&name), at + 60).await;
    }
    gate.hold(&short, &twisted, None, 60 + sizes.nested).await;
    let middle = format!("b{}", sizes.nested / 2);
    gate.hold(&short, &twisted, Some(&middle), 60 + sizes.nested / 2).await;
}

struct Open(Arc<SqliteStore>);

#[async_trait::async_trait]
impl Rig for Open {
    fn store(&self) -> Arc<dyn threadmill_store::DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

/// Steps of SQLite's machine that each kind of write may take: what it took when the rules were each store's own, and a step
/// more for each row that a checkpoint, a renewal or a deletion writes anew, since rows have sums, and for what a run holds.
const WRITES: &[(&str, u64)] = &[
    ("a thread", 406),
    ("a message", 515),
    ("a message after the tip", 561),
    ("a message after one that moved", 618),
    ("ten messages", 2531),
    ("an edit of the tip", 408),
    ("an edit that forks", 843),
    ("another edit that forks there", 821),
    ("a removal", 370),
    ("a title", 321),
    ("a title that is there", 55),
    ("a start", 937),
    ("the first chunks", 11),
    ("chunks", 11),
    ("a checkpoint", 72),
    ("a renewal", 40),
    ("a stop", 548),
    ("a stop that is over", 145),
    ("a claim", 128),
    ("an end", 549),
    ("an answer anew", 1027),
    ("an edit beside a run", 484),
    ("a lock", 65),
    ("a lock again", 21),
    ("a message with a key under a lock", 659),
    ("the same again", 87),
    ("a lock given back", 97),
    ("an import begun", 173),
    ("an import's rows", 11637),
    ("an import finished", 345),
    ("a deletion", 408),
];

#[tokio::test]
async fn a_write_costs_no_more_than_it_did() {
    let directory = TempDir::new().expect("a directory");
    let rig = Open(SqliteStore::open(directory.path(), SqliteOptions::default()).expect("opens"));
    let costs = of_each_write(&rig, || rig.0.write_steps()).await;
    for (name, steps) in &costs {
        println!("proof: {name}, steps of SQLite's machine | {steps}");
    }
    for ((name, steps), (held, most)) in costs.iter().zip(WRITES) {
        assert_eq!(name, held);
        assert!(steps <= most, "{name}: {steps} steps, {most} before");
    }
    assert_eq!(costs.len(), WRITES.len());
}
