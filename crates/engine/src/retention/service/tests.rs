//! Retention with a clock that the test moves, over the model of a store.

use std::sync::atomic::{AtomicU64, Ordering::SeqCst};

use threadmill_proto::{JsonText, Limits, Scope, ThreadId, UserId};
use threadmill_store::{ImportThread, MemoryStore};

use super::*;
use crate::providers::replay::{Pair, Replay};
use crate::providers::{Named, Providers};
use crate::threads::requests::UpdateRequest;
use crate::{ContextPolicy, Engine};

const DAY: Millis = 24 * 3_600_000;
const THEN: Millis = 1_000 * DAY;

struct Bench {
    engine: Arc<Engine>,
    retention: Arc<Retention>,
    now: Arc<AtomicU64>,
}

fn scope(tenant: &str) -> Scope {
    Scope { tenant: TenantId::parse(tenant).expect("an id"), user: UserId::parse("ada").expect("an id") }
}

fn thread(id: &str) -> ThreadId {
    ThreadId::parse(id).expect("an id")
}

fn policy(days: u32, tenants: &[(&str, u32)]) -> Policy {
    let tenants = tenants.iter().map(|(tenant, days)| ((*tenant).to_owned(), *days)).collect();
    Policy::new(days, &tenants).expect("a policy")
}

impl Bench {
    async fn start(policy: Policy) -> Self {
        let replay = Replay::new(vec![Pair { question: "q".into(), answer: "a".into() }], 1_000.0);
        let providers =
            Providers::new(vec![Named::new("replay", "Replay", "replay", None, replay)]).expect("providers");
        let store: Arc<dyn DurableStore> = Arc::new(MemoryStore::new());
        let engine = Engine::start(Arc::clone(&store), providers, Limits::DEFAULT, ContextPolicy::default()).await;
        let engine = engine.expect("an engine");
        let now = Arc::new(AtomicU64::new(THEN));
        let clock = Arc::clone(&now);
        let (node, threads) = (Arc::clone(engine.node()), Arc::clone(&engine.threads));
        let deleted = Arc::clone(&engine.telemetry.retention);
        let retention = Retention::by(store, node, threads, deleted, Box::new(move || clock.load(SeqCst)));
        retention.set(policy);
        Self { engine, retention, now }
    }

    /// A thread that was last changed so many days ago.
    async fn thread(&self, tenant: &str, id: &str, days: u64) {
        let (id, updated_at) = (thread(id), self.now.load(SeqCst) - days * DAY);
        let (title, metadata, archived) = ("t".to_owned(), None, false);
        let import = ImportThread { id: id.clone(), title, metadata, archived, created_at: 1, updated_at };
        let store = &self.retention.store;
        store.import_begin(&scope(tenant), import).await.expect("it begins");
        let branch = threadmill_proto::BranchId::parse("main").expect("an id");
        let row = threadmill_store::ImportRow::Branch { id: branch, parent: None, fork_depth: 0 };
        store.import_rows(&scope(tenant), &id, vec![row]).await.expect("a branch");
        store.import_finish(&scope(tenant), &id, None).await.expect("it is there");
    }

    async fn is_there(&self, tenant: &str, id: &str) -> bool {
        self.engine.threads().thread(&scope(tenant), &thread(id)).await.is_ok()
    }

    async fn steps(&self, many: usize) {
        for _ in 0..many {
            self.retention.step().await.expect("a step");
        }
    }

    async fn confirm(&self) {
        let mark = self.retention.policy().mark();
        self.retention.confirm(&mark, "ada", "it was looked at").await.expect("it is confirmed");
    }

    fn deleted(&self) -> u64 {
        self.engine.telemetry.retention.count()
    }
}

#[tokio::test]
async fn nothing_goes_before_a_preview_of_the_very_policy_was_confirmed() {
    let bench = Bench::start(policy(30, &[("acme", 7), ("kept", 0)])).await;
    for (tenant, id, days) in [
        ("default", "old", 31),
        ("default", "young", 29),
        ("acme", "week", 8),
        ("kept", "ancient", 900),
        ("acme", "pin", 90),
    ] {
        bench.thread(tenant, id, days).await;
    }
    let pinned = UpdateRequest { metadata: Some(JsonText(r#"{"pinned":true}"#.into())), ..UpdateRequest::default() };
    bench
        .engine
        .threads()
        .update(&scope("acme"), Terms::default(), &thread("pin"), pinned)
        .await
        .expect("it is pinned");
    bench.steps(3).await;
    assert_eq!(bench.deleted(), 0);
    let preview = bench.retention.preview(None).await.expect("a preview");
    assert_eq!((preview.seen, preview.next), (5, None));
    let told: Vec<_> = preview.tenants.iter().map(|(tenant, one)| (tenant.as_str(), one.threads, one.pinned)).collect();
    assert_eq!(told, [("acme", 1, 1), ("default", 1, 0)]);
    assert_eq!(preview.tenants[&scope("default").tenant].oldest, Some(THEN - 31 * DAY));
    for (mark, who, why) in [("0123456789ab", "ada", "x"), (bench.retention.policy().mark().as_str(), "", "x")] {
        assert!(bench.retention.confirm(mark, who, why).await.is_err());
    }
    bench.confirm().await;
    bench.retention.set(policy(1, &[]));
    bench.steps(3).await;
    assert_eq!(bench.deleted(), 0, "another policy is to be confirmed itself");
    bench.retention.set(policy(30, &[("acme", 7), ("kept", 0)]));
    bench.steps(3).await;
    assert_eq!(bench.deleted(), 2);
    for (tenant, id, there) in [
        ("default", "old", false),
        ("acme", "week", false),
        ("acme", "pin", true),
        ("default", "young", true),
        ("kept", "ancient", true),
    ] {
        assert_eq!(bench.is_there(tenant, id).await, there, "{id}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_walk_goes_on_as_time_does_a_few_threads_a_step_and_stops_when_it_is_told_to() {
    let bench = Bench::start(policy(30, &[])).await;
    for number in 0..25 {
        bench.thread("default", &format!("t-{number}"), 31).await;
    }
    bench.thread("default", "later", 10).await;
    bench.confirm().await;
    bench.steps(2).await;
    assert_eq!(bench.deleted(), AT_ONCE as u64, "a page, then a few");
    bench.retention.stop().await.expect("it is told");
    bench.steps(3).await;
    assert_eq!(bench.deleted(), AT_ONCE as u64);
    bench.confirm().await;
    bench.steps(6).await;
    assert_eq!((bench.deleted(), bench.is_there("default", "later").await), (25, true));
    bench.now.fetch_add(21 * DAY, SeqCst);
    bench.steps(3).await;
    assert_eq!(bench.deleted(), 25, "the next walk begins after a rest");
    tokio::time::sleep(REST).await;
    bench.steps(3).await;
    assert_eq!(bench.deleted(), 26);
}

#[tokio::test]
async fn what_changes_after_it_was_seen_stays() {
    let bench = Bench::start(policy(30, &[])).await;
    bench.thread("default", "a", 31).await;
    bench.thread("default", "b", 31).await;
    bench.confirm().await;
    bench.steps(1).await;
    let renamed = UpdateRequest { title: Some("in use".into()), ..UpdateRequest::default() };
    bench
        .engine
        .threads()
        .update(&scope("default"), Terms::default(), &thread("a"), renamed)
        .await
        .expect("it is renamed");
    bench.engine.threads().delete(&scope("default"), Terms::default(), &thread("b")).await.expect("it is deleted");
    bench.steps(1).await;
    assert!(bench.is_there("default", "a").await && bench.deleted() == 0);
}

#[tokio::test]
async fn of_two_nodes_one_walks() {
    let one = Bench::start(policy(30, &[])).await;
    one.confirm().await;
    one.thread("default", "a", 31).await;
    one.steps(1).await;
    let (store, node) = (Arc::clone(&one.retention.store), Node::new(None));
    let threads = Arc::clone(&one.engine.threads);
    let other = Retention::by(store, node, threads, Arc::default(), Box::new(|| THEN));
    other.set(policy(30, &[]));
    other.step().await.expect("a step");
    assert!(lock(&other.walk).due.is_empty() && !lock(&one.retention.walk).due.is_empty());
}
