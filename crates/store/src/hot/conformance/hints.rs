//! Hints.

use bytes::Bytes;

use super::HotRig;
use super::kit::{
    append, at, bytes, extend, next, read, run, some_thread, tenant, thread, user, wait_hint, wait_ready,
};
use crate::hot::{Extended, Hint, HintEvent, HintStream, MAX_TOLD_BYTES, Partition, Place, TailKey, ThreadKey};

fn head(seq: u64) -> Hint {
    Hint::Thread { thread: some_thread(), head: at(1, seq) }
}

/// Nothing is heard before the tier has confirmed it; what another node says after is.
pub async fn a_listener_is_ready_and_then_hears(rig: &dyn HotRig) {
    let hint = head(7);
    let mut stream = rig.store().subscribe(vec![hint.partition()]);
    assert_eq!(next(&mut stream).await, HintEvent::Ready(vec![hint.partition()]));
    rig.other().publish(vec![hint.clone()]).await.expect("the tier answers");
    wait_hint(&mut stream, &hint).await;
}

/// Heads, streams and summary logs, in one call over many partitions.
pub async fn every_kind_of_hint_arrives(rig: &dyn HotRig) {
    let tenant = tenant();
    let mut hints: Vec<_> =
        (0..30).map(|n| Hint::Thread { thread: thread(&tenant, &format!("th{n}")), head: at(1, n) }).collect();
    hints.push(Hint::Run { thread: thread(&tenant, "th"), run: run("r1"), end: at(2, 0), entries: Vec::new() });
    hints.push(Hint::Summary { scope: user(&tenant, "ann@example.org"), pos: u64::MAX });
    let all: Vec<_> = Partition::all().collect();
    let mut stream = rig.store().subscribe(all.clone());
    wait_ready(&mut stream, &all).await;
    rig.store().publish(hints.clone()).await.expect("the tier answers");
    while !hints.is_empty() {
        if let HintEvent::Hint(hint) = next(&mut stream).await {
            hints.retain(|wanted| *wanted != hint);
        }
    }
}

/// Other partitions stay quiet.
pub async fn only_what_is_listened_to_arrives(rig: &dyn HotRig) {
    let here = head(1);
    let away = (0..).map(head).find(|hint| hint.partition() != here.partition()).expect("there are many");
    let mut stream = rig.store().subscribe(vec![here.partition()]);
    wait_ready(&mut stream, &[here.partition()]).await;
    rig.other().publish(vec![away.clone(), here.clone()]).await.expect("the tier answers");
    loop {
        let event = next(&mut stream).await;
        assert_ne!(event, HintEvent::Hint(away.clone()));
        if event == HintEvent::Hint(here.clone()) {
            break;
        }
    }
}

/// Every node hears, the publisher's too.
pub async fn all_listeners_hear(rig: &dyn HotRig) {
    let hint = head(3);
    let mut streams = [&rig.store(), &rig.store(), &rig.other()].map(|store| store.subscribe(vec![hint.partition()]));
    for stream in &mut streams {
        wait_ready(stream, &[hint.partition()]).await;
    }
    rig.store().publish(vec![hint.clone()]).await.expect("the tier answers");
    for stream in &mut streams {
        wait_hint(stream, &hint).await;
    }
}

/// A listener that goes disturbs no other.
pub async fn a_listener_can_leave(rig: &dyn HotRig) {
    let hint = head(3);
    let store = rig.store();
    let gone = store.subscribe(vec![hint.partition()]);
    let mut stream = store.subscribe(vec![hint.partition()]);
    wait_ready(&mut stream, &[hint.partition()]).await;
    drop(gone);
    store.publish(vec![hint.clone()]).await.expect("the tier answers");
    wait_hint(&mut stream, &hint).await;
}

/// The next word of a run of this thread: where it ends, and what came along. Others share the partition.
async fn next_of(stream: &mut HintStream, thread: &ThreadKey) -> (Place, Vec<Bytes>) {
    loop {
        match next(stream).await {
            HintEvent::Hint(Hint::Run { thread: of, end, entries, .. }) if of == *thread => return (end, entries),
            HintEvent::Hint(_) | HintEvent::Ready(_) | HintEvent::Lost(_) => {}
        }
    }
}

/// An append to a run that is accepted is told, and found by who hears of it; one that is refused is not. Entries go
/// along only if they are small, and then they are those that were appended.
pub async fn appends_to_runs_are_told(rig: &dyn HotRig) {
    let (store, thread) = (rig.store(), some_thread());
    let tail = TailKey::Run(thread.clone(), run("r1"));
    let mut stream = rig.other().subscribe(vec![thread.partition()]);
    wait_ready(&mut stream, &[thread.partition()]).await;
    assert_eq!(extend(&*store, append(&tail, at(1, 0), &["a", "b"])).await, Extended::Accepted);
    assert_ne!(extend(&*store, append(&tail, at(1, 0), &["x"])).await, Extended::Accepted);
    let (end, entries) = next_of(&mut stream, &thread).await;
    assert_eq!(end, at(1, 2));
    assert!(entries.is_empty() || entries == [bytes("a"), bytes("b")], "{entries:?}");
    assert_eq!(read(&*rig.other(), &tail, at(1, 0)).await, "1:a 2:b");
    let long = "l".repeat(MAX_TOLD_BYTES + 1);
    assert_eq!(extend(&*store, append(&tail, at(1, 2), &[&long])).await, Extended::Accepted);
    assert_eq!(next_of(&mut stream, &thread).await, (at(1, 3), Vec::new()));
}
