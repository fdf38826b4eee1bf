//! What a window costs does not depend on the thread: the server's own counters say so, whatever the machine.
//!
//! By default the threads are as long as a test has time for; `THREADMILL_FULL=1` makes them a million messages
//! and ten thousand nested forks.

use std::sync::Arc;

use threadmill_proto::{Anchor, Scope, ThreadId};
use threadmill_store::conformance::Rig;
use threadmill_store::conformance::costs::of_each_write;
use threadmill_store::conformance::kit::shapes::{import, line, nested};
use threadmill_store::conformance::kit::{branch_id, scope};
use threadmill_store::{DurableStore as _, PageLimits, WindowQuery};
use threadmill_store_postgres::{PostgresStore, WindowCost};

use crate::server::Database;

/// The bar: rows and pages on any thread, in hundredths of those on a thread of 100 messages.
const PERCENT: u64 = 110;

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

/// A thread, a line of it and a depth.
type Reference<'r> = (&'r ThreadId, Option<&'r str>, u64);

struct Gate {
    store: Arc<PostgresStore>,
    scope: Scope,
}

impl Gate {
    async fn cost(&self, thread: &ThreadId, line: Option<&str>, anchor: Anchor) -> WindowCost {
        let after = if anchor == Anchor::Tip { 0 } else { 25 };
        let query = WindowQuery {
            thread: thread.clone(),
            branch: line.map(branch_id),
            anchor,
            before: 50 - after,
            after,
            limits: PageLimits::DEFAULT,
        };
        let window = self.store.window(&self.scope, query.clone()).await;
        assert_eq!(window.expect("reads").messages.len(), 50, "the same page");
        let cost = self.store.window_cost(&self.scope, query).await;
        cost.expect("reads")
    }

    /// Holds a thread's windows, at the tip and at many depths, to those at the tip and at a depth of a line of a short
    /// thread.
    async fn hold(&self, (short, short_line, depth): Reference<'_>, thread: &ThreadId, line: Option<&str>, total: u64) {
        let mut places = vec![Anchor::Tip];
        // Depths all over the thread, the same ones every time.
        let spread = (1..=20u64).map(|n| n.wrapping_mul(0x9E37_79B9_7F4A_7C15) % (total - 50));
        places.extend(spread.map(|depth| Anchor::Depth(depth + 25)));
        let (mut rows, mut pages) = (0, 0);
        for anchor in places {
            let reference = if anchor == Anchor::Tip { Anchor::Tip } else { Anchor::Depth(depth) };
            let allowed = self.cost(short, short_line, reference).await;
            let cost = self.cost(thread, line, anchor.clone()).await;
            assert_eq!(cost.full_scans, 0, "{thread} at {anchor:?}");
            assert_eq!(cost.statements, allowed.statements, "{thread} at {anchor:?}");
            for (what, here, there, most) in
                [("rows", cost.rows, allowed.rows, &mut rows), ("pages", cost.buffers, allowed.buffers, &mut pages)]
            {
                let hundredths = here * 100 / there;
                assert!(hundredths <= PERCENT, "{thread} at {anchor:?}: {here} {what}, {there} on 100 messages");
                *most = (*most).max(hundredths);
            }
        }
        println!("proof: {thread} {line:?} | at most {rows} % of the rows and {pages} % of the pages of 100 messages");
    }
}

#[tokio::test]
async fn a_window_costs_the_same_on_every_thread() {
    let database = Database::fresh().await;
    let store = database.open().await;
    let (scope, sizes) = (scope("acme", "ann"), sizes());
    let short = import(store.as_ref(), &scope, "short", line(100, &[]), None).await;
    let deep = [sizes.long / 3, sizes.long / 2, sizes.long - 30];
    let long = import(store.as_ref(), &scope, "long", line(sizes.long, &deep), None).await;
    let last = format!("b{}", sizes.nested - 1);
    let tip = Some(branch_id(&last));
    let twisted = import(store.as_ref(), &scope, "nested", nested(sizes.nested), tip).await;
    let gate = Gate { store, scope };
    gate.hold((&short, None, 50), &long, None, sizes.long).await;
    for at in deep {
        let name = format!("fork-{at}");
        gate.hold((&short, None, 50), &long, Some(&name), at + 60).await;
    }
    // Here each slot is a fork on a stretch of its own, so that a page has more to say: it is held to the line of a
    // short thread that is as twisted as a lineage may be.
    let short = import(gate.store.as_ref(), &gate.scope, "nested-short", nested(100), Some(branch_id("b99"))).await;
    gate.hold((&short, Some("b62"), 98), &twisted, None, 60 + sizes.nested).await;
    let middle = format!("b{}", sizes.nested / 2);
    gate.hold((&short, Some("b62"), 98), &twisted, Some(&middle), 60 + sizes.nested / 2).await;
}

struct Open(Arc<PostgresStore>);

#[async_trait::async_trait]
impl Rig for Open {
    fn store(&self) -> Arc<dyn threadmill_store::DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

/// Statements that the commit of one write of each kind may send.
const WRITES: &[(&str, u64)] = &[
    ("a thread", 18),
    ("a message", 18),
    ("a message after the tip", 18),
    ("a message after one that moved", 19),
    ("ten messages", 27),
    ("an edit of the tip", 17),
    ("an edit that forks", 23),
    ("another edit that forks there", 25),
    ("a removal", 17),
    ("a title", 16),
    ("a title that is there", 10),
    ("a start", 21),
    ("the first chunks", 7),
    ("chunks", 7),
    ("a checkpoint", 9),
    ("a renewal", 6),
    ("a stop", 18),
    ("a stop that is over", 11),
    ("a claim", 7),
    ("an end", 20),
    ("an answer anew", 26),
    ("an edit beside a run", 20),
    ("a lock", 8),
    ("a lock again", 7),
    ("a message with a key under a lock", 22),
    ("the same again", 12),
    ("a lock given back", 7),
    ("an import begun", 12),
    ("an import's rows", 95),
    ("an import finished", 17),
    ("a deletion", 19),
];

#[tokio::test]
async fn a_write_costs_no_more_than_it_did() {
    let database = Database::fresh().await;
    let rig = Open(database.open().await);
    let costs = of_each_write(&rig, || rig.0.write_statements()).await;
    for (name, statements) in &costs {
        println!("proof: {name}, statements of its commit | {statements}");
    }
    for ((name, statements), (held, most)) in costs.iter().zip(WRITES) {
        assert_eq!(name, held);
        assert!(statements <= most, "{name}: {statements} statements, {most} before");
    }
    assert_eq!(costs.len(), WRITES.len());
}
