//! Tails.

use super::HotRig;
use super::kit::{append, at, extend, read, run, some_thread, thread, until};
use crate::hot::{
    Extended, HotError, Keep, MAX_APPEND_BYTES, MAX_NUMBER, OnGap, TailAppend, TailKey, TailRead, ThreadKey,
};

fn log() -> TailKey {
    TailKey::Log(some_thread())
}

fn refused(epoch: u64, seq: u64) -> Extended {
    Extended::Refused { there: at(epoch, seq) }
}

/// The tier need not have seen a log from its start; another node reads on from any place it holds.
pub async fn a_tail_begins_anywhere(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    assert_eq!(extend(&*store, append(&tail, at(3, 41), &["a", "b"])).await, Extended::Accepted);
    assert_eq!(extend(&*store, append(&tail, at(3, 43), &["\0c"])).await, Extended::Accepted);
    let other = rig.other();
    assert_eq!(read(&*other, &tail, at(3, 41)).await, "42:a 43:b 44:\0c");
    assert_eq!(read(&*other, &tail, at(3, 43)).await, "44:\0c");
    assert_eq!(read(&*other, &tail, at(3, 44)).await, "");
}

/// Anything but the next entry is refused with where the tail is.
pub async fn only_the_next_entries_are_accepted(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    extend(&*store, append(&tail, at(1, 0), &["a", "b", "c"])).await;
    for after in [0, 1, 2, 4, 99] {
        assert_eq!(extend(&*store, append(&tail, at(1, after), &["x"])).await, refused(1, 3), "after {after}");
    }
    assert_eq!(extend(&*store, append(&tail, at(1, 3), &["d"])).await, Extended::Accepted);
    assert_eq!(read(&*store, &tail, at(1, 0)).await, "1:a 2:b 3:c 4:d");
}

/// A writer that knows that entries are missing begins anew; it never takes a tail back.
pub async fn a_gap_can_be_left_behind(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    let anew = |after, entries: &[&str]| TailAppend { on_gap: OnGap::Restart, ..append(&tail, after, entries) };
    extend(&*store, append(&tail, at(1, 0), &["a", "b"])).await;
    assert_eq!(extend(&*store, anew(at(1, 7), &["h", "i"])).await, Extended::Accepted);
    assert_eq!(read(&*store, &tail, at(1, 7)).await, "8:h 9:i");
    assert_eq!(read(&*store, &tail, at(1, 2)).await, "gap, there 1-9");
    assert_eq!(extend(&*store, anew(at(1, 3), &["d"])).await, refused(1, 9));
    assert_eq!(extend(&*store, anew(at(1, 9), &["j"])).await, Extended::Accepted);
    assert_eq!(read(&*store, &tail, at(1, 7)).await, "8:h 9:i 10:j");
}

/// What an epoch before said is gone with it.
pub async fn a_higher_epoch_begins_anew(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    extend(&*store, append(&tail, at(1, 0), &["a", "b", "c"])).await;
    assert_eq!(extend(&*store, append(&tail, at(2, 1), &["B"])).await, Extended::Accepted);
    assert_eq!(read(&*store, &tail, at(2, 1)).await, "2:B");
    assert_eq!(read(&*store, &tail, at(1, 1)).await, "gap, there 2-2");
    assert_eq!(read(&*store, &tail, at(2, 0)).await, "gap, there 2-2");
}

/// A writer of an earlier epoch changes nothing, wherever it is.
pub async fn a_lower_epoch_is_refused(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    extend(&*store, append(&tail, at(5, 10), &["k"])).await;
    for (after, on_gap) in [(10, OnGap::Refuse), (11, OnGap::Refuse), (11, OnGap::Restart), (99, OnGap::Restart)] {
        let stale = TailAppend { on_gap, ..append(&tail, at(4, after), &["x"]) };
        assert_eq!(extend(&*store, stale).await, refused(5, 11));
    }
    assert_eq!(read(&*store, &tail, at(5, 10)).await, "11:k");
}

/// No tail, another epoch, before its first and past its last entry: a gap, and never an empty answer.
pub async fn what_is_not_held_is_a_gap(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    assert_eq!(read(&*store, &tail, at(1, 0)).await, "gap");
    extend(&*store, append(&tail, at(2, 5), &["f"])).await;
    for place in [at(2, 0), at(2, 4), at(2, 7), at(1, 5), at(1, 6), at(3, 0), at(3, 5)] {
        assert_eq!(read(&*store, &tail, place).await, "gap, there 2-6", "{place:?}");
    }
}

/// A read takes what its limit lets it take, and goes on from there.
pub async fn a_limited_read_goes_on(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    extend(&*store, append(&tail, at(1, 0), &["a", "b", "c", "d", "e"])).await;
    let mut place = at(1, 0);
    let mut sizes = Vec::new();
    loop {
        let read = store.read_tail(&tail, place, 2).await.expect("the tier answers");
        let TailRead::Entries(entries) = read else { panic!("a gap at {place:?}") };
        let Some(last) = entries.last() else { break };
        place.seq = last.seq;
        sizes.push(entries.len());
    }
    assert_eq!((sizes, place), (vec![2, 2, 1], at(1, 5)));
}

/// The oldest entries go first, and their readers are sent elsewhere.
pub async fn entries_are_bounded(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    let keep = Keep { entries: 3, bytes: 1 << 20 };
    for seq in 0..10 {
        let one = TailAppend { keep, ..append(&tail, at(1, seq), &[&format!("e{}", seq + 1)]) };
        assert_eq!(extend(&*store, one).await, Extended::Accepted);
    }
    assert_eq!(read(&*store, &tail, at(1, 7)).await, "8:e8 9:e9 10:e10");
    assert_eq!(read(&*store, &tail, at(1, 6)).await, "gap, there 1-10");
}

/// The bytes held stay near the bound, and the last entry is always there.
pub async fn bytes_are_bounded(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    let keep = Keep { entries: 1000, bytes: 10_000 };
    let kilo = "k".repeat(1000);
    for seq in 0..50 {
        let one = TailAppend { keep, ..append(&tail, at(1, seq), &[&kilo]) };
        assert_eq!(extend(&*store, one).await, Extended::Accepted);
    }
    // Codes and frames may take a share of the bound: at least 5 of 10 fit.
    assert!(read(&*store, &tail, at(1, 38)).await.starts_with("gap"));
    assert!(read(&*store, &tail, at(1, 45)).await.starts_with("46:k"));
    let huge = TailAppend { keep, ..append(&tail, at(1, 50), &[&"h".repeat(50_000)]) };
    assert_eq!(extend(&*store, huge).await, Extended::Accepted);
    assert!(read(&*store, &tail, at(1, 50)).await.starts_with("51:h"));
    assert!(read(&*store, &tail, at(1, 49)).await.starts_with("gap"));
}

/// A thread's log and its runs, and other threads, share nothing.
pub async fn tails_are_kept_apart(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    extend(&*store, append(&TailKey::Log(here.clone()), at(1, 0), &["log"])).await;
    extend(&*store, append(&TailKey::Run(here.clone(), run("r1")), at(1, 0), &["run"])).await;
    for other in [
        TailKey::Run(here.clone(), run("r2")),
        TailKey::Log(thread(&here.tenant, "other")),
        TailKey::Log(ThreadKey { birth: 8, ..here.clone() }),
    ] {
        assert_eq!(read(&*store, &other, at(1, 0)).await, "gap", "{other:?}");
    }
    assert_eq!(read(&*store, &TailKey::Log(here.clone()), at(1, 0)).await, "1:log");
    assert_eq!(read(&*store, &TailKey::Run(here, run("r1")), at(1, 0)).await, "1:run");
}

/// One refusal does not keep the others from being accepted; appends to one tail are taken in order.
pub async fn appends_have_their_own_outcomes(rig: &dyn HotRig) {
    let (store, here) = (rig.store(), some_thread());
    let tails: Vec<_> = (0..5).map(|n| TailKey::Log(thread(&here.tenant, &format!("th{n}")))).collect();
    extend(&*store, append(&tails[2], at(1, 0), &["a"])).await;
    let mut batch: Vec<_> = tails.iter().map(|tail| append(tail, at(1, 0), &["a"])).collect();
    batch.push(append(&tails[4], at(1, 1), &["b"]));
    let answers = store.extend(batch).await.expect("the tier answers");
    let accepted = Extended::Accepted;
    assert_eq!(answers, [accepted, accepted, refused(1, 1), accepted, accepted, accepted]);
    assert_eq!(read(&*store, &tails[4], at(1, 0)).await, "1:a 2:b");
}

/// Writers that race for the same places make one sequence.
pub async fn one_of_many_writers_wins_each_place(rig: &dyn HotRig) {
    let tail = log();
    for seq in 0..20 {
        let (one, other) = (rig.store(), rig.other());
        let (a, b) = tokio::join!(
            extend(&*one, append(&tail, at(1, seq), &["a"])),
            extend(&*other, append(&tail, at(1, seq), &["b"])),
        );
        assert!((a == Extended::Accepted) != (b == Extended::Accepted), "{seq}: {a:?} {b:?}");
    }
    let TailRead::Entries(entries) = rig.store().read_tail(&tail, at(1, 0), 100).await.expect("the tier answers")
    else {
        panic!("a gap")
    };
    assert!(entries.iter().map(|entry| entry.seq).eq(1..=20));
}

/// Numbers that a script could not tell apart, nothing, and too much are the caller's mistakes.
pub async fn nonsense_is_invalid(rig: &dyn HotRig) {
    let (store, tail) = (rig.store(), log());
    let huge = TailAppend { entries: vec![vec![0; MAX_APPEND_BYTES + 1].into()], ..append(&tail, at(1, 0), &[]) };
    for wrong in [
        append(&tail, at(1, MAX_NUMBER), &["a"]),
        append(&tail, at(MAX_NUMBER + 1, 0), &["a"]),
        append(&tail, at(1, u64::MAX), &["a"]),
        append(&tail, at(1, 0), &[]),
        TailAppend { keep: Keep { entries: 0, bytes: 1 }, ..append(&tail, at(1, 0), &["a"]) },
        huge,
    ] {
        let answer = store.extend(vec![wrong]).await;
        assert!(matches!(answer, Err(HotError::Invalid(_))), "{answer:?}");
    }
    let top = append(&tail, at(MAX_NUMBER, MAX_NUMBER - 1), &["last"]);
    assert_eq!(extend(&*store, top).await, Extended::Accepted);
    assert_eq!(extend(&*store, append(&tail, at(MAX_NUMBER - 1, 5), &["x"])).await, refused(MAX_NUMBER, MAX_NUMBER));
}

/// A tail that nobody extends goes; a writer may then begin anew anywhere.
pub async fn a_tail_expires(rig: &dyn HotRig) {
    let (store, tail) = (rig.brief(), log());
    extend(&*store, append(&tail, at(1, 0), &["a"])).await;
    until("the tail expires", || async { read(&*store, &tail, at(1, 1)).await == "gap" }).await;
    assert_eq!(extend(&*store, append(&tail, at(1, 5), &["f"])).await, Extended::Accepted);
}
