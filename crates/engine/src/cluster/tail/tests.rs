//! The table of states and events, cell by cell.

use std::collections::BTreeMap;

use threadmill_proto::change::{Commitment, MessageRef};
use threadmill_proto::{
    BranchId, ChainHash, Change, Event, MessageId, Outcome, Position, Record, RunId, Scope, StreamOffset, TenantId,
    UserId,
};

use super::{Following, RunTail, State, Step, Tail, Turn};
use crate::delivery::topics::Reach;

const EPOCH: u64 = 7;

fn scope() -> Scope {
    Scope { tenant: TenantId::parse("t").expect("an id"), user: UserId::parse("u").expect("an id") }
}

fn run(name: &str) -> RunId {
    RunId::parse(name).expect("an id")
}

fn position(seq: u64) -> Position {
    Position { epoch: EPOCH, seq, hash: ChainHash::default() }
}

/// The three states, each as it may look: with hints that came early, with a live run, and gone.
fn states() -> [(&'static str, Tail); 3] {
    let tail = |state: State| {
        let mut tail = Tail::new(Box::new(()));
        tail.state = state;
        tail
    };
    [
        ("unplaced", tail(State::Unplaced { target: 3, early: BTreeMap::from([(run("r"), 2)]) })),
        ("following", tail(State::Following(following()))),
        ("gone", tail(State::Gone)),
    ]
}

/// Follows from change 2 on, is at change 5, and has 4 chunks of the live run `r`.
fn following() -> Following {
    Following {
        scope: scope(),
        birth: 1,
        base: position(2),
        published: position(5),
        target: 5,
        recheck: false,
        runs: BTreeMap::from([(run("r"), RunTail { published: 4, target: 4, ..RunTail::default() })]),
    }
}

fn message() -> MessageRef {
    let (id, branch) = (MessageId::parse("m").expect("an id"), BranchId::parse("b").expect("an id"));
    MessageRef { id, branch, depth: 0, rev: 1, commitment: Commitment::default() }
}

fn event(seq: u64, change: Change) -> Event {
    Event { epoch: EPOCH, hash: ChainHash::default(), record: Record { seq, at: 0, change }, body: None }
}

/// What a state comes to, in few words.
fn words(tail: &Tail) -> String {
    match &tail.state {
        State::Unplaced { target, early } => {
            let early: Vec<_> = early.iter().map(|(run, end)| format!("{run}@{end}")).collect();
            format!("unplaced target={target} early={}", early.join(","))
        }
        State::Following(Following { published, target, recheck, runs, .. }) => {
            let mut runs: Vec<_> = runs
                .iter()
                .map(|(run, known)| {
                    let mut text = format!("{run}:{}/{}", known.published, known.target);
                    for (mark, is) in [
                        (format!(" verified={}", known.verified), known.verified > 0),
                        (" unread".to_owned(), known.unread),
                        (format!(" deferred={}", known.deferred), known.deferred > 0),
                        (" silent".to_owned(), known.silent),
                    ] {
                        if is {
                            text += &mark;
                        }
                    }
                    text
                })
                .collect();
            runs.sort();
            let recheck = if *recheck { " recheck" } else { "" };
            format!("following {}.{}/{target}{recheck} {}", published.epoch, published.seq, runs.join(","))
        }
        State::Gone => "gone".to_owned(),
    }
}

const UNPLACED: &str = "unplaced target=3 early=r@2";
const FOLLOWING: &str = "following 7.5/5 r:4/4";

/// What an event does in each state: nothing where a cell is `-`.
fn check(name: &str, event: impl Fn(&mut Tail), want: [&str; 3]) {
    for ((state, mut tail), want) in states().into_iter().zip(want) {
        let before = words(&tail);
        event(&mut tail);
        let want = if want == "-" { before } else { want.to_owned() };
        assert_eq!(words(&tail), want, "{name} while {state}");
    }
}

#[test]
fn every_hint_has_a_cell_in_every_state() {
    check(
        "a hint of a change ahead",
        |tail| tail.hint_change(9),
        ["unplaced target=9 early=r@2", "following 7.5/9 r:4/4", "-"],
    );
    check("a late hint of a change", |tail| tail.hint_change(1), ["-", "-", "-"]);
    check(
        "a hint of chunks of a live run",
        |tail| tail.hint_chunks(&run("r"), 9),
        ["unplaced target=3 early=r@9", "following 7.5/5 r:4/9", "-"],
    );
    check("a late hint of chunks", |tail| tail.hint_chunks(&run("r"), 1), ["-", "-", "-"]);
    check(
        "a hint of chunks of another run",
        |tail| tail.hint_chunks(&run("s"), 9),
        ["unplaced target=3 early=r@2,s@9", "-", "-"],
    );
    check("a comparison that finds the same", |tail| tail.compare(Some(5)), ["unplaced target=5 early=r@2", "-", "-"]);
    check(
        "a comparison that finds more",
        |tail| tail.compare(Some(6)),
        ["unplaced target=6 early=r@2", "following 7.5/5 recheck r:4/4", "-"],
    );
    check("a comparison that finds less", |tail| tail.compare(Some(1)), ["-", "following 7.5/5 recheck r:4/4", "-"]);
    check("a comparison that finds nothing", |tail| tail.compare(None), ["-", "following 7.5/5 recheck r:4/4", "-"]);
    check("a reading that failed", Tail::failed, ["-", "following 7.5/5 recheck r:4/4", "-"]);
}

#[test]
fn every_change_of_this_node_has_a_cell_in_every_state() {
    let turned = |name: &str, of: &Event, turns: [Turn; 3], want: [&str; 3]| {
        for ((state, mut tail), turn) in states().into_iter().zip(turns) {
            assert_eq!(tail.turn(of), turn, "{name} while {state}");
        }
        let turn = |tail: &mut Tail| {
            tail.turn(of);
        };
        check(name, turn, want);
    };
    use Turn::{Later, Next, Over};
    let said = |seq| event(seq, Change::RunStopping { run: run("r") });
    turned("the next one", &said(6), [Later, Next, Later], ["unplaced target=6 early=r@2", "-", "-"]);
    turned("a known one", &said(5), [Later, Over, Later], ["unplaced target=5 early=r@2", "-", "-"]);
    turned("one ahead", &said(8), [Later, Later, Later], ["unplaced target=8 early=r@2", "following 7.5/8 r:4/4", "-"]);
    let other = Event { epoch: EPOCH + 1, ..said(6) };
    turned(
        "one of another epoch",
        &other,
        [Later, Later, Later],
        ["unplaced target=6 early=r@2", "following 7.5/6 recheck r:4/4", "-"],
    );
    let end = |offset| {
        let (outcome, message) = (Outcome::Complete, message());
        event(6, Change::RunEnded { run: run("r"), message, outcome, offset, error: None })
    };
    turned("an end after its chunks", &end(4), [Later, Next, Later], ["unplaced target=6 early=r@2", "-", "-"]);
    turned(
        "an end before its chunks",
        &end(6),
        [Later, Later, Later],
        ["unplaced target=6 early=r@2", "following 7.5/6 r:4/6", "-"],
    );
    let gone = event(6, Change::ThreadDeleted);
    turned("a deletion", &gone, [Next, Next, Next], ["-", "-", "-"]);
    check("a deletion that was published", |tail| tail.published(&gone), ["gone", "gone", "-"]);
    check("a change that was published", |tail| tail.published(&said(6)), ["-", "following 7.6/5 r:4/4", "-"]);
    check("an end that was published", |tail| tail.published(&end(4)), ["-", "following 7.6/5 ", "-"]);
}

#[test]
fn every_reading_has_a_cell_in_every_state() {
    let head = |tail: &mut Tail| {
        let runs = BTreeMap::from([(run("r"), RunTail::found(1, 2)), (run("s"), RunTail::found(0, 5))]);
        tail.place(scope(), 1, position(4), runs);
    };
    check("a head", head, ["following 7.4/3 r:1/2,s:0/5", "-", "-"]);
    check("a log that was read to its head", |tail| tail.log_verified(position(5), 9), ["-", "-", "-"]);
    let false_target = |tail: &mut Tail| {
        tail.hint_change(9);
        tail.log_verified(position(5), 9);
    };
    check("a hint that the log does not bear out", false_target, ["unplaced target=9 early=r@2", FOLLOWING, "-"]);
    let newer_target = |tail: &mut Tail| {
        tail.hint_change(9);
        tail.log_verified(position(5), 8);
    };
    let newer = ["unplaced target=9 early=r@2", "following 7.5/9 r:4/4", "-"];
    check("a hint that came while the log was read", newer_target, newer);
    let stream = |tail: &mut Tail| {
        tail.hint_chunks(&run("r"), 9);
        tail.stream_verified(&run("r"), 9);
    };
    check(
        "a stream that was read to its end",
        stream,
        ["unplaced target=3 early=r@9", "following 7.5/5 r:4/4 verified=9", "-"],
    );
    check("a later epoch of the same history", |tail| tail.adopt_epoch(8), ["-", "following 8.5/5 r:4/4", "-"]);
    check("an earlier epoch", |tail| tail.adopt_epoch(6), ["-", "-", "-"]);
    check(
        "history that does not go on",
        Tail::start_over,
        ["unplaced target=0 early=", "unplaced target=0 early=", "-"],
    );
    check("a thread that is not found", Tail::end, ["gone", "gone", "-"]);
    check("a reader who follows anew", Tail::revive, ["-", "-", "unplaced target=0 early="]);
}

#[test]
fn every_deferral_has_a_cell_in_every_state() {
    let defers = states().map(|(_, tail)| tail.should_defer(&run("r"), 9));
    assert_eq!(defers, [false, true, false]);
    let defer = |tail: &mut Tail| {
        tail.hint_chunks(&run("r"), 9);
        tail.defer(&run("r"), 4, 9);
    };
    let deferred = "following 7.5/5 r:4/9 deferred=9";
    check("a deferral", defer, ["unplaced target=3 early=r@9", deferred, "-"]);
    let came = |tail: &mut Tail| assert!(tail.defer(&run("r"), 3, 4), "what was asked for came meanwhile");
    check("a deferral of what came", came, ["-", "-", "-"]);
    let expired = |tail: &mut Tail| {
        defer(tail);
        tail.defer_expired(&run("r"), 9);
    };
    check("a deferral that expires", expired, ["unplaced target=3 early=r@9", "following 7.5/5 r:4/9 silent", "-"]);
    let late = |tail: &mut Tail| tail.defer_expired(&run("r"), 4);
    check("a deferral that expires after the chunks came", late, ["-", "-", "-"]);
    let again = |tail: &mut Tail| {
        expired(tail);
        if let Some(run) = tail.run_mut(&run("r")) {
            let (from, target) = (run.published, run.target);
            assert!(!tail.defer(&self::run("r"), from, target), "it was waited for in vain");
        }
    };
    check("a second deferral", again, ["unplaced target=3 early=r@9", "following 7.5/5 r:4/9 silent", "-"]);
    let stopped = |tail: &mut Tail| {
        defer(tail);
        tail.stop_deferring();
    };
    check("the end of all deferrals", stopped, ["unplaced target=3 early=r@9", "following 7.5/5 r:4/9", "-"]);
}

/// What is read next, in words.
fn step(mut tail: Tail) -> String {
    match tail.next_step() {
        None => "nothing".into(),
        Some(Step::Head) => "head".into(),
        Some(Step::Stream { run, from, target, tier, .. }) => {
            format!("stream {run} {from}..{target} {}", if tier.is_some() { "hot" } else { "durable" })
        }
        Some(Step::Changes { after, target, .. }) => format!("changes {}..{target}", after.seq),
    }
}

#[test]
fn what_is_read_next_follows_from_the_state() {
    let [unplaced, following, gone] = states().map(|(_, tail)| tail);
    assert_eq!([step(unplaced), step(following), step(gone)], ["head", "nothing", "nothing"]);
    let after = |change: &dyn Fn(&mut Tail)| {
        let [_, (_, mut tail), _] = states();
        change(&mut tail);
        step(tail)
    };
    assert_eq!(after(&|tail| tail.hint_change(8)), "changes 5..8");
    assert_eq!(after(&Tail::failed), "changes 5..5");
    let both = |tail: &mut Tail| {
        tail.hint_change(8);
        tail.hint_chunks(&run("r"), 6);
    };
    assert_eq!(after(&both), "stream r 4..6 hot", "an end comes after its chunks");
    let unread = |tail: &mut Tail| tail.run_mut(&run("r")).expect("it is live").unread = true;
    assert_eq!(after(&unread), "stream r 4..4 durable", "the end of a stream is in the durable tier alone");
    let deferred = |tail: &mut Tail| {
        both(tail);
        tail.defer(&run("r"), 4, 6);
    };
    assert_eq!(after(&deferred), "nothing", "the log is not read again and again meanwhile");
    let more = |tail: &mut Tail| {
        deferred(tail);
        tail.hint_chunks(&run("r"), 7);
    };
    assert_eq!(after(&more), "stream r 4..7 hot");
}

#[test]
fn one_reading_is_under_way() {
    let [_, (_, mut tail), _] = states();
    assert!(!tail.claim_reading(), "nothing is missing");
    tail.hint_change(6);
    assert!(tail.claim_reading() && !tail.claim_reading());
    assert!(tail.next_step().is_some());
    tail.log_verified(position(5), 6);
    assert_eq!(tail.next_step(), None);
    tail.hint_change(6);
    assert!(tail.claim_reading(), "nothing ends the reading");
}

#[test]
fn a_reader_waits_for_what_is_missing_and_for_nothing_else() {
    let at = |name: &str, seq: u64, offset: u64, epoch: u64| {
        let claim = [StreamOffset { run: run("r"), offset }];
        let place = Position { epoch, ..position(seq) };
        states().map(|(_, mut tail)| tail.reach(place, &claim)).map(|reach| format!("{name}: {reach:?}"))
    };
    let check = |name: &str, seq, offset, epoch, want: [Reach; 3]| {
        assert_eq!(at(name, seq, offset, epoch), want.map(|reach| format!("{name}: {reach:?}")));
    };
    use Reach::{Before, Gone, Past, There};
    check("what is here", 5, 4, EPOCH, [Before, There, Gone]);
    check("an earlier place", 3, 0, EPOCH, [Before, There, Gone]);
    check("before following began", 1, 0, EPOCH, [Before, Past, Gone]);
    check("an earlier epoch", 5, 4, EPOCH - 1, [Before, Past, Gone]);
    check("a later change", 6, 4, EPOCH, [Before, Before, Gone]);
    check("later chunks", 5, 6, EPOCH, [Before, Before, Gone]);
    check("a later epoch", 5, 4, EPOCH + 1, [Before, Before, Gone]);
    let [_, (_, mut tail), _] = states();
    tail.reach(position(9), &[]);
    assert_eq!(words(&tail), "following 7.5/9 r:4/4", "what is missing is a target");
    // What was looked for and is not there is not waited for.
    tail.state = State::Following(following());
    tail.stream_verified(&run("r"), 6);
    assert_eq!(tail.reach(position(5), &[StreamOffset { run: run("r"), offset: 6 }]), There);
    let continues = |seq, epoch| {
        let place = Position { epoch, ..position(seq) };
        states().map(|(_, tail)| tail.continues(place))
    };
    assert_eq!(continues(2, EPOCH), [false, true, true]);
    assert_eq!(continues(1, EPOCH), [false, false, true]);
    assert_eq!(continues(5, EPOCH + 1), [false, false, true]);
    assert_eq!(states().map(|(_, tail)| tail.begun()), [Before, There, Gone]);
    let found = |tail: &mut Tail| *tail.run_mut(&run("r")).expect("live") = RunTail::found(1, 3);
    let [_, (_, mut tail), _] = states();
    found(&mut tail);
    assert_eq!(tail.begun(), Before, "what was said when it was found comes first");
    assert_eq!(words(&states()[0].1), UNPLACED);
}
