//! Rollouts as a service: two nodes on one store, which fails when it is told to.

use std::collections::BTreeSet;

use threadmill_proto::{TenantId, UserId};
use threadmill_store::{MemoryStore, Setting};

use super::*;
use crate::flags::plan::{GATES, Reach, Stage};
use crate::tests::planted::{Deed, Planted};

fn scope(user: &str) -> Scope {
    Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse(user).expect("an id") }
}

fn node(store: &Arc<dyn DurableStore>) -> Arc<Rollouts> {
    let (node, counts) = (Node::new(None), Arc::default());
    let webhooks = Webhooks::new(Arc::clone(store), Arc::clone(&node), counts);
    Rollouts::new(Arc::clone(store), Arc::default(), node, webhooks)
}

fn store() -> Arc<dyn DurableStore> {
    Arc::new(MemoryStore::new())
}

/// A baseline and half of the users, without dwells.
fn quick() -> Plan {
    let stage = |reach| Stage { reach, dwell: 0 };
    let mut plan = Plan::checklist(BTreeSet::new());
    (plan.least, plan.gates) = (100, vec![GATES[0]]);
    plan.stages = vec![stage(Reach::Off), stage(Reach::Percent(50)), stage(Reach::Percent(100))];
    plan.stages[2].dwell = DAY;
    plan
}

/// Everybody makes a few requests at a node; those with the flag fail as often as is said.
fn visit(at: &Rollouts, failing: f64) {
    for number in 0..600 {
        let scope = scope(&format!("user-{number}"));
        let on = at.board.current().evaluate("new-list", &scope).is_some_and(|found| found.on);
        for request in 0..4 {
            let fails = on && f64::from(number % 10) + f64::from(request) / 4.0 < failing * 10.0;
            at.record(&scope, Metric::Errors, f64::from(u8::from(fails)));
        }
    }
}

async fn stage(at: &Rollouts) -> (Status, Reach) {
    let rollout = at.known("new-list").await.expect("a rollout");
    (rollout.status, rollout.stage().reach)
}

#[tokio::test]
async fn what_two_nodes_count_moves_a_rollout_and_takes_it_back() {
    let store = store();
    let (one, two) = (node(&store), node(&store));
    one.start("new-list", quick(), "ada", "to see").await.expect("it starts");
    two.look().await.expect("it looks");
    for at in [&one, &two] {
        visit(at, 0.0);
    }
    one.judge_all().await;
    two.judge_all().await;
    assert_eq!(stage(&one).await, (Status::Running, Reach::Percent(50)));
    two.look().await.expect("it looks");
    visit(&one, 0.3);
    visit(&two, 0.3);
    // What the one has added is judged by the other, too.
    two.judge_all().await;
    one.judge_all().await;
    assert_eq!(stage(&two).await, (Status::RolledBack, Reach::Percent(50)));
    one.look().await.expect("it looks");
    assert!((0..50).all(|number| {
        let found = one.board.current().evaluate("new-list", &scope(&format!("user-{number}")));
        found.is_some_and(|found| !found.on)
    }));
    let log = one.show("new-list").await.expect("it stands").log;
    let told: Vec<_> = log.iter().map(|entry| (entry.who.as_str(), entry.what.as_str())).collect();
    assert_eq!(told, [("ada", "start"), (ITSELF, "advance"), (ITSELF, "rollback")]);
    assert!(log[2].why.contains("errors got worse at 50 %"), "{}", log[2].why);
}

#[tokio::test]
async fn a_kill_is_seen_by_whoever_looks_and_a_store_that_is_away_changes_nothing() {
    let planted = Planted::over(store());
    let store: Arc<dyn DurableStore> = planted.clone();
    let (one, two) = (node(&store), node(&store));
    let on = |at: &Rollouts| at.board.current().evaluate(SCALABLE_SYNC, &scope("ada")).map(|found| found.on);
    assert_eq!((on(&one), on(&two)), (Some(true), Some(true)));
    one.step(SCALABLE_SYNC, Move::Kill, "ada", "blank pages").await.expect("it is killed");
    assert_eq!((on(&one), on(&two)), (Some(false), Some(true)));
    planted.plan(|name, _| if name == "settings" { Deed::Fail } else { Deed::Serve });
    assert!(two.look().await.is_err() && one.look().await.is_err());
    assert_eq!((on(&one), on(&two)), (Some(false), Some(true)), "what was known holds");
    planted.plan(|_, _| Deed::Serve);
    two.look().await.expect("it looks");
    assert_eq!(on(&two), Some(false));
    one.step(SCALABLE_SYNC, Move::End, "ada", "mended").await.expect("it ends");
    assert_eq!(on(&one), Some(true));
}

#[tokio::test]
async fn what_is_counted_is_not_lost_or_doubled_when_an_answer_is() {
    let planted = Planted::over(store());
    let store: Arc<dyn DurableStore> = planted.clone();
    let one = node(&store);
    one.start("new-list", quick(), "ada", "to see").await.expect("it starts");
    one.record(&scope("ada"), Metric::Errors, 0.0);
    planted.plan(|name, _| if name == "put_settings" { Deed::Fail } else { Deed::Serve });
    one.judge_all().await;
    one.record(&scope("bob"), Metric::Errors, 0.0);
    planted.plan(|_, _| Deed::Serve);
    for _ in 0..3 {
        one.judge_all().await;
    }
    let counts = one.show("new-list").await.expect("it stands").counts;
    assert_eq!(counts.cell(Arm::Old, Metric::Errors).map(crate::flags::counts::Cell::total), Some(2));
}

#[tokio::test]
async fn a_clients_sample_counts_for_its_side_and_the_direct_engine_is_a_fallback_where_it_is_not_meant() {
    let one = node(&store());
    let mut plan = quick();
    plan.stages.remove(0);
    one.start(SCALABLE_SYNC, plan, "ada", "to see").await.expect("it starts");
    for number in 0..40 {
        let sample = Sample { direct: true, load_ms: Some(200.0), ..Sample::default() };
        one.record_sample(&scope(&format!("user-{number}")), &sample);
    }
    one.judge_all().await;
    let counts = one.show(SCALABLE_SYNC).await.expect("it stands").counts;
    let rate = |arm, metric| counts.cell(arm, metric).and_then(crate::flags::counts::Cell::rate);
    assert_eq!((rate(Arm::Old, Metric::Fallback), rate(Arm::New, Metric::Fallback)), (Some(0.0), Some(1.0)));
    let loads = |arm| counts.cell(arm, Metric::Load).and_then(|cell| cell.quantile(75));
    assert!(loads(Arm::Old).is_some() && loads(Arm::Old) == loads(Arm::New));
    assert!(counts.cell(Arm::New, Metric::Heap).is_none(), "it was not measured");
}

#[tokio::test]
async fn every_change_says_who_and_why_and_is_refused_where_it_makes_no_sense() {
    let one = node(&store());
    let code = |answer: Answer<Rollout>| answer.map(|rollout| rollout.status).map_err(|problem| problem.code);
    let invalid = Err(ErrorCode::InvalidRequest);
    for (who, why) in [("", "why"), ("who", " "), ("who", "a\nb"), (&"x".repeat(WHO + 1), "why")] {
        assert_eq!(code(one.start("new-list", quick(), who, why).await), invalid);
    }
    assert_eq!(code(one.start("New list", quick(), "ada", "x").await), invalid);
    assert_eq!(code(one.step("new-list", Move::Kill, "ada", "x").await), Err(ErrorCode::RolloutNotFound));
    assert_eq!(code(one.start("new-list", quick(), "ada", "x").await), Ok(Status::Running));
    assert_eq!(code(one.start("new-list", quick(), "ada", "x").await), Err(ErrorCode::RolloutRefused));
    assert_eq!(code(one.step("new-list", Move::Resume, "ada", "x").await), Err(ErrorCode::RolloutRefused));
    for number in 1..MOST {
        assert_eq!(code(one.start(&format!("flag-{number}"), quick(), "ada", "x").await), Ok(Status::Running));
    }
    assert_eq!(code(one.start("one-more", quick(), "ada", "x").await), Err(ErrorCode::RolloutRefused));
}

#[tokio::test]
async fn whoever_asked_hears_of_changes_when_they_are_durable() {
    #[derive(Default)]
    struct Heard(Mutex<Vec<String>>);
    impl Notify for Heard {
        fn changed(&self, change: &Change) {
            lock(&self.0).push(format!("{} {} {}", change.flag, change.entry.what, change.entry.status));
        }
    }
    let (one, heard) = (node(&store()), Arc::<Heard>::default());
    one.notify(heard.clone());
    one.start("new-list", quick(), "ada", "to see").await.expect("it starts");
    one.step("new-list", Move::Pause, "ada", "lunch").await.expect("it pauses");
    assert!(one.step("new-list", Move::Advance, "ada", "?").await.is_err());
    assert_eq!(*lock(&heard.0), ["new-list start running", "new-list pause paused"]);
}

#[tokio::test]
async fn a_move_and_its_webhook_are_put_together_or_not_at_all() {
    use crate::webhooks::{Endpoint, Wish};
    let planted = Planted::over(store());
    let store: Arc<dyn DurableStore> = planted.clone();
    let one = node(&store);
    let wish = Wish {
        name: "a".into(),
        url: "https://hooks.example.org/".into(),
        secrets: vec!["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw".into()],
        ..Wish::default()
    };
    one.webhooks.set(vec![Endpoint::new(&wish).expect("an endpoint")]).expect("it is told");
    let told = async || {
        let rows = store.settings("webhooks/queue/a/").await.expect("reads");
        let body = |row: &Setting| {
            let delivery: crate::webhooks::Delivery = serde_json::from_str(&row.value).expect("a delivery");
            serde_json::from_str::<serde_json::Value>(&delivery.body).expect("JSON")
        };
        rows.iter()
            .map(body)
            .map(|body| format!("{} {}", body["data"]["move"], body["data"]["status"]))
            .collect::<Vec<_>>()
    };
    planted.plan(|name, _| if name == "put_settings" { Deed::Fail } else { Deed::Serve });
    assert!(one.start("new-list", quick(), "ada", "to see").await.is_err());
    planted.plan(|_, _| Deed::Serve);
    assert_eq!(told().await, [""; 0]);
    one.start("new-list", quick(), "ada", "to see").await.expect("it starts");
    visit(&one, 0.0);
    one.judge_all().await;
    assert!(one.step("new-list", Move::Resume, "ada", "?").await.is_err(), "what is refused is not told");
    one.step("new-list", Move::Pause, "ada", "lunch").await.expect("it pauses");
    one.step("new-list", Move::Kill, "ada", "blank pages").await.expect("it is killed");
    let want = ["start running", "advance running", "pause paused", "kill killed"];
    assert_eq!(
        told().await,
        want.map(|both| both.split(' ').map(|word| format!("\"{word}\"")).collect::<Vec<_>>().join(" "))
    );
}
