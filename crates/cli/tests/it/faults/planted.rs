//! The checker finds what is planted, by its name, and nothing in a history without a fault.

use super::checker::{Verdict, check};
use super::history::{self, Act, Body, Call, End, Entry, Frame, Logged, Record, Said, Shown};
use super::model::{SECOND, THREAD, good};

/// The verdicts on a history after something was done to it.
fn verdicts(plant: impl FnOnce(&mut Vec<Entry>)) -> Vec<Verdict> {
    let mut entries = good();
    plant(&mut entries);
    let mut verdicts: Vec<_> = check(&entries).into_iter().map(|violation| violation.verdict).collect();
    verdicts.sort_unstable();
    verdicts.dedup();
    verdicts
}

fn frames(entries: &[Entry], watcher: usize, is: impl Fn(&Said) -> bool) -> Vec<usize> {
    let wanted = |entry: &Entry| matches!(entry, Entry::Frame(frame) if frame.watcher == watcher && is(&frame.said));
    (0..entries.len()).filter(|at| wanted(&entries[*at])).collect()
}

fn logged(entries: &[Entry], is: impl Fn(&Record) -> bool) -> usize {
    let wanted = |entry: &Entry| matches!(entry, Entry::Logged(logged) if is(&logged.record));
    entries.iter().position(wanted).expect("a record")
}

fn is_change(said: &Said) -> bool {
    matches!(said, Said::Change { .. })
}

fn is_ended(said: &Said) -> bool {
    matches!(said, Said::Change { record: Record::Ended { .. }, .. })
}

fn is_chunks(said: &Said) -> bool {
    matches!(said, Said::Chunks { .. })
}

fn appends(id: &'static str) -> impl Fn(&Record) -> bool {
    move |record| matches!(record, Record::Appended { message, .. } if message == id)
}

fn call(entries: &mut [Entry], is: impl Fn(&Act) -> bool) -> &mut Call {
    let mut calls = entries.iter_mut().filter_map(|entry| match entry {
        Entry::Call(call) if is(&call.act) => Some(call),
        _ => None,
    });
    calls.next().expect("a call")
}

fn append_of(id: &'static str) -> impl Fn(&Act) -> bool {
    move |act| matches!(act, Act::Append { message, .. } if message == id)
}

/// What the last window showed; its first message is of `bodies`.
fn last_window(entries: &mut [Entry]) -> &mut Shown {
    let shown = entries.iter_mut().rev().find_map(|entry| match entry {
        Entry::Call(Call { end: End::Shown(shown), .. }) => Some(shown),
        _ => None,
    });
    shown.expect("a window")
}

#[test]
fn a_good_history_is_found_good_and_survives_its_file() {
    let entries = good();
    let violations = check(&entries);
    assert!(violations.is_empty(), "{violations:?}");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("history.jsonl");
    history::write(&path, &entries);
    let again = history::read(&path);
    assert_eq!(format!("{again:?}"), format!("{entries:?}"));
}

#[test]
fn an_acknowledged_write_that_is_lost_is_found() {
    // The log goes on as if it had never been.
    let lost = verdicts(|entries| {
        let at = logged(entries, appends("m5"));
        entries.remove(at);
    });
    assert!(lost.contains(&Verdict::Lost), "{lost:?}");
    let hole = verdicts(|entries| {
        let at = logged(entries, appends("m3"));
        entries.remove(at);
    });
    assert!(hole.contains(&Verdict::Lost) && hole.contains(&Verdict::Hole), "{hole:?}");
    let unkept = verdicts(|entries| {
        entries.retain(|entry| !matches!(entry, Entry::Kept { body, .. } if body.message == "m2"));
    });
    assert_eq!(unkept, [Verdict::Lost]);
}

#[test]
fn a_lost_edit_is_found() {
    let lost = verdicts(|entries| {
        let at = logged(entries, |record| matches!(record, Record::Edited { message, .. } if message == "m3"));
        let Entry::Logged(logged) = &mut entries[at] else { unreachable!("a record") };
        logged.record = Record::Other;
    });
    assert!(lost.contains(&Verdict::Lost), "{lost:?}");
}

#[test]
fn a_write_done_twice_is_found() {
    for sure in [true, false] {
        let doubled = verdicts(|entries| {
            let (seq, at) = (log_length(entries) + 1, logged(entries, appends("m5")));
            let Entry::Logged(mut twice) = entries[at].clone() else { unreachable!("a record") };
            (twice.seq, twice.at) = (seq, u64::MAX);
            entries.push(Entry::Logged(twice));
            if !sure {
                call(entries, append_of("m5")).end = End::Unknown { why: "it timed out".into() };
            }
        });
        assert_eq!(doubled, [Verdict::Doubled]);
    }
}

fn log_length(entries: &[Entry]) -> u64 {
    entries.iter().filter(|entry| matches!(entry, Entry::Logged(_))).count() as u64
}

#[test]
fn what_nobody_asked_for_is_found() {
    let unsent = verdicts(|entries| {
        let record = Record::Appended { message: "ghost".into(), rev: 1 };
        let seq = log_length(entries) + 1;
        entries.push(Entry::Logged(Logged { thread: THREAD.into(), seq, at: u64::MAX, record }));
    });
    assert!(unsent.contains(&Verdict::Unsent), "{unsent:?}");
}

#[test]
fn an_unknown_write_may_be_there_or_not_and_a_refused_one_may_not() {
    let unknown = || End::Unknown { why: "the connection was cut".into() };
    assert_eq!(verdicts(|entries| call(entries, append_of("m5")).end = unknown()), []);
    let gone = verdicts(|entries| {
        call(entries, append_of("m5")).end = unknown();
        entries.retain(|entry| match entry {
            Entry::Logged(logged) => !appends("m5")(&logged.record),
            Entry::Kept { body, .. } => body.message != "m5",
            Entry::Frame(frame) => !matches!(&frame.said, Said::Change { record, .. } if appends("m5")(record)),
            Entry::Call(_) | Entry::Mark { .. } => true,
        });
    });
    assert_eq!(gone, []);
    let refused = verdicts(|entries| call(entries, append_of("m5")).end = End::Refused { code: "id_taken".into() });
    assert!(refused.contains(&Verdict::DoneThoughRefused), "{refused:?}");
}

#[test]
fn two_answers_to_one_request_are_found() {
    let answers = verdicts(|entries| {
        let mut again = call(entries, append_of("m5")).clone();
        again.end = End::Acknowledged { seq: 1 };
        entries.push(Entry::Call(again));
    });
    assert!(answers.contains(&Verdict::TwoAnswers), "{answers:?}");
}

#[test]
fn a_window_from_before_an_acknowledgement_is_found() {
    let stale = verdicts(|entries| {
        let shown = last_window(entries);
        let body = shown.bodies.iter_mut().find(|body| body.message == "m3").expect("it is shown");
        (body.rev, body.text) = (1, "m3/0".into());
    });
    assert_eq!(stale, [Verdict::Stale]);
    let old = verdicts(|entries| last_window(entries).seq = 3);
    assert_eq!(old, [Verdict::Stale]);
}

#[test]
fn deleted_bytes_are_found() {
    let deleted = verdicts(|entries| {
        let body = Body { message: "m1".into(), rev: 1, text: "m1/0".into(), streaming: false, removed: false };
        last_window(entries).bodies.push(body);
    });
    assert_eq!(deleted, [Verdict::Deleted]);
    // The same in what a watcher is told that comes after the deletion was acknowledged.
    let told = verdicts(|entries| {
        let at = frames(entries, 1, |said| matches!(said, Said::Resumed))[0];
        let Entry::Frame(frame) = &mut entries[at] else { unreachable!("a frame") };
        let body = Body { message: "m1".into(), rev: 1, text: "m1/0".into(), streaming: false, removed: false };
        let record = Record::Appended { message: "m1".into(), rev: 1 };
        frame.said = Said::Change { epoch: 1, seq: 1, record, body: Some(body) };
    });
    assert!(told.contains(&Verdict::Deleted), "{told:?}");
}

#[test]
fn bytes_that_nobody_wrote_are_found() {
    let foreign = verdicts(|entries| last_window(entries).bodies[0].text = "other".into());
    assert_eq!(foreign, [Verdict::Foreign]);
}

#[test]
fn a_gap_is_found() {
    let gap = verdicts(|entries| {
        let at = frames(entries, 2, is_change)[3];
        entries.remove(at);
    });
    assert!(gap.contains(&Verdict::Gap), "{gap:?}");
    let in_a_stream = verdicts(|entries| {
        let at = frames(entries, 2, is_chunks)[2];
        entries.remove(at);
    });
    assert!(in_a_stream.contains(&Verdict::Gap), "{in_a_stream:?}");
    let at_its_end = verdicts(|entries| {
        let at = frames(entries, 2, is_chunks)[4];
        entries.remove(at);
    });
    assert!(at_its_end.contains(&Verdict::Gap), "{at_its_end:?}");
}

#[test]
fn a_frame_that_comes_twice_is_found() {
    for is in [is_change, is_chunks] {
        let twice = verdicts(|entries| {
            let at = frames(entries, 0, is)[2];
            entries.insert(at + 1, entries[at].clone());
        });
        assert!(twice.contains(&Verdict::Repeated), "{twice:?}");
    }
}

#[test]
fn frames_out_of_order_are_found() {
    let out = verdicts(|entries| {
        let places = frames(entries, 0, is_change);
        entries.swap(places[1], places[2]);
    });
    assert!(out.contains(&Verdict::Reordered), "{out:?}");
}

#[test]
fn a_chunk_after_the_end_is_found() {
    let after = verdicts(|entries| {
        let chunk = entries[frames(entries, 0, is_chunks)[4]].clone();
        let end = frames(entries, 0, is_ended)[0];
        entries.insert(end + 1, chunk);
    });
    assert!(after.contains(&Verdict::AfterEnd), "{after:?}");
}

#[test]
fn a_watcher_that_stays_behind_is_found() {
    let behind = verdicts(|entries| {
        let at = *frames(entries, 2, is_change).last().expect("changes");
        entries.remove(at);
    });
    assert_eq!(behind, [Verdict::Behind]);
    // It comes, but too late.
    let late = verdicts(|entries| {
        let at = *frames(entries, 2, is_change).last().expect("changes");
        let Entry::Frame(frame) = &mut entries[at] else { unreachable!("a frame") };
        frame.at += 11 * SECOND;
    });
    assert_eq!(late, [Verdict::Behind]);
}

#[test]
fn a_watcher_that_has_other_bytes_or_records_is_found() {
    let text = verdicts(|entries| {
        let at = frames(entries, 1, is_chunks)[2];
        let Entry::Frame(Frame { said: Said::Chunks { text, .. }, .. }) = &mut entries[at] else {
            unreachable!("chunks")
        };
        text.push('!');
    });
    assert_eq!(text, [Verdict::Disagrees]);
    // The whole message that comes with the end does not make up for it.
    let hidden = verdicts(|entries| {
        let kept = entries.iter().find_map(|entry| match entry {
            Entry::Kept { body, .. } if body.message == "ar" => Some(body.clone()),
            _ => None,
        });
        let at = frames(entries, 1, is_ended)[0];
        let Entry::Frame(Frame { said: Said::Change { body, .. }, .. }) = &mut entries[at] else {
            unreachable!("a change")
        };
        *body = kept;
        let at = frames(entries, 1, is_chunks)[2];
        let Entry::Frame(Frame { said: Said::Chunks { text, .. }, .. }) = &mut entries[at] else {
            unreachable!("chunks")
        };
        text.clear();
    });
    assert_eq!(hidden, [Verdict::Disagrees]);
    let record = verdicts(|entries| {
        let at = *frames(entries, 1, is_change).last().expect("changes");
        let Entry::Frame(Frame { said: Said::Change { record, body, .. }, .. }) = &mut entries[at] else {
            unreachable!("a change")
        };
        (*record, *body) = (Record::Other, None);
    });
    assert_eq!(record, [Verdict::Disagrees]);
}

#[test]
fn a_window_without_a_reset_is_found_and_with_one_is_not() {
    for (told, want) in [(true, &[][..]), (false, &[Verdict::Disagrees])] {
        let verdicts = verdicts(|entries| {
            let places = frames(entries, 1, |said| matches!(said, Said::Left | Said::Resumed));
            let Entry::Frame(resumed) = entries[places[1]].clone() else { unreachable!("a frame") };
            let shown = last_window(entries).clone();
            let window = Entry::Frame(Frame { said: Said::Window(shown), ..resumed.clone() });
            let reset = Entry::Frame(Frame { said: Said::Reset { reason: "epoch".into() }, ..resumed });
            entries.splice(places[1]..=places[1], [reset, window].into_iter().skip(usize::from(!told)));
        });
        assert_eq!(verdicts, want);
    }
}
