//! Writers outside, over a store that fails when it is told to.

use std::time::Duration;

use threadmill_proto::{Chunk, Scope};

use crate::tests::others::{Bench, scope, thread};
use crate::tests::planted::Deed;
use crate::{Line, Lines, NewRun, Numbers, Producer, RunRequest, RunWriter, Terms, WrittenBy};

fn said(bytes: usize) -> Lines {
    let chunk = Chunk::TextDelta { id: "0".into(), delta: "x".repeat(bytes) };
    let producer = Some(Producer { id: "p".into(), epoch: 0 });
    Lines { producer, first: 0, numbers: Numbers::Each, lines: vec![Line::Chunk(chunk)] }
}

async fn writer(bench: &Bench, scope: &Scope) -> RunWriter {
    let run = NewRun { by: WrittenBy::Outside, ..NewRun::default() };
    let request = RunRequest { branch: None, regenerate: None, run };
    let written = bench.engine.threads().start_run(scope, Terms::default(), &thread(), request).await.expect("a run");
    let token = bench.engine.runs().token_of(scope, &written).await.expect("the store answers").expect("a token");
    bench.engine.runs().outside().writer(&token, &written.run.expect("a run").id).await.expect("it is the run's")
}

/// Whoever is refused sends the same lines again, and they have room once.
#[tokio::test(start_paused = true)]
async fn lines_that_were_refused_take_no_room() {
    let (bench, planted) = Bench::planted().await;
    let writer = writer(&bench, &scope()).await;
    let outside = bench.engine.runs().outside();
    planted.plan(|name, _| if name == "renew_leases" { Deed::Fail } else { Deed::Serve });
    for _ in 0..3 {
        outside.append(&writer, &said(400 << 10)).await.expect_err("the lease is not renewed");
    }
    planted.plan(|_, _| Deed::Serve);
    let taken = outside.append(&writer, &said(400 << 10)).await.expect("it is taken");
    assert_eq!((taken.last, taken.ended), (Some(0), None));
}

/// What a node remembers of a writer has its thread followed, so it is forgotten though nobody else comes.
#[tokio::test(start_paused = true)]
async fn a_writer_that_goes_away_is_forgotten() {
    let (bench, _) = Bench::planted().await;
    let writer = writer(&bench, &scope()).await;
    bench.watcher.close(1);
    let is_followed = || bench.engine.hub.topics().contains(&(scope().tenant, thread()));
    tokio::time::sleep(Duration::from_secs(70)).await;
    assert!(is_followed(), "its request is under way");
    drop(writer);
    tokio::time::sleep(Duration::from_secs(10)).await;
    assert!(!is_followed());
}
