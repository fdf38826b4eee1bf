//! A backend against the model: random requests to both, and every answer compared.
//!
//! Ids come from a handful, so that requests meet: they reuse ids, name what is gone, and race a run's end. Hashes
//! and commitments are left out of the comparison, since each store has its own secrets; everything else is equal.
//!
//! ```ignore
//! random::against_the_model(cases, async || MyRig::new());
//! ```

mod request;
mod side;
mod world;

use std::sync::Arc;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use threadmill_proto::{JsonText, Part, Role};

use super::Rig;
use super::kit::{branch_id, message_id, scope, thread_id};
use crate::{Command, IfMoved, MemoryStore, NewMessage};

use request::{Request, request};
use side::Side;
use world::World;

async fn compare(rig: &dyn Rig, mut requests: Vec<Request>) -> Result<(), TestCaseError> {
    let mut sides = [Side::new(Arc::new(MemoryStore::new())), Side::new(rig.store())];
    let mut world = World::new();
    requests.insert(0, beginning());
    for (at, request) in requests.iter_mut().enumerate() {
        if at > 0 {
            world.request(request);
        }
        let [model, real] = &mut sides;
        let (expected, answer) = (model.answer(request).await, real.answer(request).await);
        prop_assert_eq!(expected, answer, "{:?}", request);
        model.last.take().iter().for_each(|made| world.learn(made));
        prop_assert_eq!(model.heard(), real.heard(), "{:?}", request);
    }
    let [model, real] = &sides;
    let expected = model.store.digest().await.expect("digests");
    prop_assert_eq!(expected, real.store.digest().await.expect("digests"));
    Ok(())
}

/// A thread to begin with, so that few requests are lost on nothing.
fn beginning() -> Request {
    let message = |id: &str, role| Command::Append {
        thread: thread_id("t0"),
        branch: None,
        after: None,
        if_moved: IfMoved::Append,
        message: NewMessage {
            id: message_id(id),
            role,
            body: threadmill_proto::message::Body {
                parts: vec![Part::text(id)],
                metadata: Some(JsonText("{}".into())),
            },
        },
        fork: branch_id("unused"),
    };
    Request::Apply {
        who: scope("acme", "ann"),
        at: 1_000,
        key: None,
        commands: vec![
            Command::CreateThread {
                id: thread_id("t0"),
                branch: branch_id("b0"),
                title: String::new(),
                metadata: None,
            },
            message("m0", Role::User),
            message("m1", Role::Assistant),
            message("m2", Role::User),
        ],
    }
}

/// Runs this many cases, or as many as `PROPTEST_CASES` asks for, each on a fresh store and a runtime of its own.
///
/// # Panics
/// If the store answers anything that the model does not, with the shortest list of requests that shows it.
pub fn against_the_model<R: Rig>(cases: u32, fresh: impl AsyncFn() -> R) {
    let asked = std::env::var("PROPTEST_CASES").ok();
    let cases = asked.and_then(|count| count.parse().ok()).unwrap_or(cases);
    let config =
        ProptestConfig { cases, max_shrink_iters: 400, failure_persistence: None, ..ProptestConfig::default() };
    let done = TestRunner::new(config).run(&vec(request(), 1..60), |requests| {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime can be made");
        runtime.block_on(async {
            let rig = fresh().await;
            compare(&rig, requests).await
        })
    });
    if let Err(error) = done {
        panic!("{error}");
    }
}
