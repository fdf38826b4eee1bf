//! The outbox against a server that counts effects: each write once, a thread's in the order of their making,
//! whoever sends, whatever is lost.

use proptest::prelude::*;
use std::collections::{BTreeMap, BTreeSet};
use threadmill_core::engine::{Engine, Follows, Input, Output};
use threadmill_core::outbox::{Answer, Outbox, Purpose, Stage, Step};
use threadmill_proto::{RunId, ThreadId};

fn thread(number: u32) -> ThreadId {
    ThreadId::parse(&format!("t{number}")).expect("a valid id")
}

fn run(number: u32) -> RunId {
    RunId::parse(&format!("r{number}")).expect("a valid id")
}

fn steps(outbox: &mut Outbox, now: u64) -> Vec<Step> {
    core::iter::from_fn(|| outbox.poll(now)).collect()
}

fn sends(outbox: &mut Outbox, now: u64) -> Vec<u32> {
    let sent = |step| match step {
        Step::Send(number) => Some(number),
        Step::Now(..) => None,
    };
    steps(outbox, now).into_iter().filter_map(sent).collect()
}

#[test]
fn a_threads_writes_go_one_at_a_time_and_others_beside_them() {
    let mut outbox = Outbox::new(1);
    for (number, of) in [(1, 1), (2, 1), (3, 2)] {
        outbox.add(number, thread(of), Purpose::Plain, false);
    }
    assert_eq!(sends(&mut outbox, 0), [1, 3]);
    outbox.answer(0, 1, Answer::Done);
    assert_eq!(sends(&mut outbox, 0), [2]);
}

#[test]
fn what_passes_is_tried_again_with_growing_waits() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Plain, false);
    let (mut now, mut longest) = (0, 0);
    for _ in 0..40 {
        assert_eq!(sends(&mut outbox, now), [1]);
        outbox.answer(now, 1, Answer::Passes(None));
        steps(&mut outbox, now);
        let due = outbox.deadline().expect("another try");
        longest = longest.max(due - now);
        now = due;
    }
    assert!((5_000..=15_000).contains(&longest), "{longest}");
    sends(&mut outbox, now);
    outbox.answer(now, 1, Answer::Passes(Some(60_000)));
    steps(&mut outbox, now);
    assert!(outbox.deadline().expect("another try") >= now + 60_000, "the server's word counts");
    outbox.wake();
    assert_eq!(sends(&mut outbox, now), [1], "unless the network is back");
}

#[test]
fn what_is_refused_is_set_aside_until_someone_decides() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Plain, false);
    outbox.add(2, thread(1), Purpose::Plain, false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.answer(0, 1, Answer::Refused);
    assert_eq!(sends(&mut outbox, 0), [2], "the next one goes on");
    outbox.retry(1);
    assert!(sends(&mut outbox, 0).is_empty(), "behind what waits");
    outbox.answer(0, 2, Answer::Done);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.answer(0, 1, Answer::Refused);
    outbox.discard(1);
    assert_eq!(steps(&mut outbox, 0), [Step::Now(1, Stage::Failed), Step::Now(1, Stage::Dropped)]);
    assert_eq!(outbox.deadline(), None);
}

#[test]
fn a_stop_cancels_the_write_that_was_never_sent() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Plain, false);
    outbox.add(2, thread(1), Purpose::Starts(run(2)), false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.add(3, thread(1), Purpose::Stops(run(2)), false);
    assert_eq!(steps(&mut outbox, 0), [Step::Now(2, Stage::Dropped), Step::Now(3, Stage::Done)]);
    outbox.answer(0, 1, Answer::Done);
    assert!(sends(&mut outbox, 0).is_empty());
}

#[test]
fn a_stop_follows_right_behind_the_write_that_may_have_arrived() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Starts(run(1)), false);
    outbox.add(2, thread(1), Purpose::Plain, false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.add(3, thread(1), Purpose::Stops(run(1)), false);
    assert!(sends(&mut outbox, 0).is_empty(), "the run may not be there yet");
    outbox.answer(0, 1, Answer::Done);
    assert_eq!(sends(&mut outbox, 0), [3], "it overtakes");
    outbox.answer(0, 3, Answer::Done);
    assert_eq!(sends(&mut outbox, 0), [2]);
}

#[test]
fn a_stop_of_a_run_that_is_there_goes_at_once() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Plain, false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.answer(0, 1, Answer::Busy);
    outbox.add(2, thread(1), Purpose::Stops(run(9)), false);
    assert_eq!(sends(&mut outbox, 0), [2], "the run it stops is what is in the way");
}

#[test]
fn a_stop_takes_back_what_waits_for_another_run() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Starts(run(1)), false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.answer(0, 1, Answer::Busy);
    steps(&mut outbox, 0);
    outbox.add(2, thread(1), Purpose::Stops(run(1)), false);
    assert_eq!(steps(&mut outbox, 0), [Step::Now(1, Stage::Dropped), Step::Now(2, Stage::Done)]);
}

#[test]
fn a_stop_takes_back_what_found_no_network() {
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Starts(run(1)), false);
    assert_eq!(sends(&mut outbox, 0), [1]);
    outbox.answer(0, 1, Answer::Unsent);
    steps(&mut outbox, 0);
    outbox.add(2, thread(1), Purpose::Stops(run(1)), false);
    assert_eq!(steps(&mut outbox, 0), [Step::Now(1, Stage::Dropped), Step::Now(2, Stage::Done)]);

    // But not what had left before.
    let mut outbox = Outbox::new(1);
    outbox.add(1, thread(1), Purpose::Starts(run(1)), false);
    for answer in [Answer::Passes(None), Answer::Unsent] {
        assert_eq!(sends(&mut outbox, 20_000), [1]);
        outbox.answer(0, 1, answer);
        steps(&mut outbox, 0);
    }
    outbox.add(2, thread(1), Purpose::Stops(run(1)), false);
    assert_eq!(sends(&mut outbox, 20_000), [1]);
}

#[test]
fn answers_are_what_http_says() {
    let cases = [
        ((201, ""), Answer::Done),
        ((204, ""), Answer::Done),
        ((409, "run_ended"), Answer::Done),
        ((404, "run_not_found"), Answer::Done),
        ((410, "thread_deleted"), Answer::Done),
        ((409, "run_in_progress"), Answer::Busy),
        ((0, "offline"), Answer::Unsent),
        ((0, "unavailable"), Answer::Passes(Some(5))),
        ((401, "unauthorized"), Answer::Passes(Some(5))),
        ((429, "overloaded"), Answer::Passes(Some(5))),
        ((503, "read_only"), Answer::Passes(Some(5))),
        ((404, "thread_not_found"), Answer::Refused),
        ((413, "message_too_large"), Answer::Refused),
    ];
    for ((status, code), expected) in cases {
        assert_eq!(Answer::of(status, code, Some(5)), expected, "{status} {code}");
    }
}

/// At the next start of the browser a stop may stand behind the send that it takes back.
#[test]
fn nothing_is_sent_before_all_that_is_kept_is_known() {
    let mut engine = Engine::new(1, "test");
    let mut steps = Vec::new();
    let mut feed = |number, purpose, follows| {
        engine.handle(0, Input::Write { number, thread: thread(1), purpose, tried: false, follows });
        steps.extend(
            core::iter::from_fn(|| Some(engine.poll_output()).filter(|out| !matches!(out, Output::Wait(_))))
                .filter(|out| matches!(out, Output::Write(_) | Output::Writing(..))),
        );
    };
    feed(1, Purpose::Starts(run(1)), Follows::Another);
    feed(2, Purpose::Stops(run(1)), Follows::Nothing);
    assert_eq!(steps, [Output::Writing(1, Stage::Dropped), Output::Writing(2, Stage::Done)]);
}

#[derive(Debug, Clone, Copy)]
enum Op {
    Write {
        thread: u32,
        starts: bool,
    },
    Stop(usize),
    /// The request arrives, and its answer, or one of the two is lost.
    Arrive(usize),
    LoseRequest(usize),
    LoseAnswer(usize),
    Refuse(usize),
    /// Another tab sends from now on.
    HandOver,
    Pass(u64),
}

fn op() -> impl Strategy<Value = Op> {
    prop_oneof![
        6 => (0_u32..3, any::<bool>()).prop_map(|(thread, starts)| Op::Write { thread, starts }),
        2 => any::<usize>().prop_map(Op::Stop),
        6 => any::<usize>().prop_map(Op::Arrive),
        2 => any::<usize>().prop_map(Op::LoseRequest),
        2 => any::<usize>().prop_map(Op::LoseAnswer),
        1 => any::<usize>().prop_map(Op::Refuse),
        1 => Just(Op::HandOver),
        4 => (1_u64..5_000).prop_map(Op::Pass),
    ]
}

#[derive(Debug, Clone)]
struct Record {
    thread: u32,
    purpose: Purpose,
    tried: bool,
}

struct World {
    outbox: Outbox,
    /// What the browser keeps: every write without an outcome, in order.
    kept: BTreeMap<u32, Record>,
    flying: Vec<u32>,
    /// What the server has done, in order.
    done: Vec<(u32, u32)>,
    /// Runs that were started there, and stopped.
    started: BTreeSet<RunId>,
    stops: BTreeSet<u32>,
    dropped: BTreeSet<u32>,
    failed: BTreeSet<u32>,
    last: u32,
    now: u64,
}

impl World {
    fn settle(&mut self) {
        for step in steps(&mut self.outbox, self.now) {
            match step {
                Step::Send(number) => self.flying.push(number),
                Step::Now(number, Stage::Sending) => {
                    self.kept.get_mut(&number).expect("a write that is kept").tried = true;
                }
                Step::Now(number, Stage::Done) => drop(self.kept.remove(&number)),
                Step::Now(number, Stage::Dropped) => {
                    self.kept.remove(&number);
                    self.dropped.insert(number);
                }
                Step::Now(number, Stage::Failed) => {
                    self.kept.remove(&number);
                    self.failed.insert(number);
                }
                Step::Now(_, Stage::Waiting) => {}
            }
        }
        let lanes: Vec<u32> =
            self.flying.iter().filter(|number| !self.is_stop(**number)).map(|n| self.lane(*n)).collect();
        assert_eq!(lanes.len(), lanes.iter().collect::<BTreeSet<_>>().len(), "two writes of a thread at once");
    }

    fn is_stop(&self, number: u32) -> bool {
        self.kept.get(&number).is_some_and(|record| matches!(record.purpose, Purpose::Stops(_)))
    }

    fn lane(&self, number: u32) -> u32 {
        self.kept.get(&number).map_or(u32::MAX, |record| record.thread)
    }

    fn add(&mut self, thread_number: u32, purpose: Purpose) {
        self.last += 1;
        if matches!(purpose, Purpose::Stops(_)) {
            self.stops.insert(self.last);
        }
        self.kept.insert(self.last, Record { thread: thread_number, purpose: purpose.clone(), tried: false });
        self.outbox.add(self.last, thread(thread_number), purpose, false);
    }

    fn take(&mut self, pick: usize) -> Option<u32> {
        let at = pick.checked_rem(self.flying.len())?;
        Some(self.flying.remove(at))
    }

    /// The server does a write, once.
    fn perform(&mut self, number: u32) -> Answer {
        let Some(record) = self.kept.get(&number).cloned() else { return Answer::Done };
        match &record.purpose {
            Purpose::Stops(run) if !self.started.contains(run) => return Answer::Refused,
            Purpose::Starts(run) => drop(self.started.insert(run.clone())),
            Purpose::Stops(_) | Purpose::Plain => {}
        }
        if !self.done.iter().any(|(_, known)| *known == number) {
            self.done.push((record.thread, number));
        }
        Answer::Done
    }

    fn run(&mut self, op: Op) {
        match op {
            Op::Write { thread, starts } => {
                let purpose = if starts { Purpose::Starts(run(self.last + 1)) } else { Purpose::Plain };
                self.add(thread, purpose);
            }
            Op::Stop(pick) => self.stop(pick),
            Op::Arrive(pick) => {
                if let Some(number) = self.take(pick) {
                    let answer = self.perform(number);
                    self.outbox.answer(self.now, number, answer);
                }
            }
            Op::LoseRequest(pick) => {
                if let Some(number) = self.take(pick) {
                    self.outbox.answer(self.now, number, Answer::Passes(None));
                }
            }
            Op::LoseAnswer(pick) => {
                if let Some(number) = self.take(pick) {
                    self.perform(number);
                    self.outbox.answer(self.now, number, Answer::Passes(None));
                }
            }
            Op::Refuse(pick) => {
                // What the server has done it does not refuse.
                if let Some(number) = self.take(pick) {
                    let done = self.done.iter().any(|(_, known)| *known == number);
                    let answer = if done { Answer::Done } else { Answer::Refused };
                    self.outbox.answer(self.now, number, answer);
                }
            }
            Op::HandOver => self.hand_over(),
            Op::Pass(time) => self.now += time,
        }
        self.settle();
    }

    /// Stops the run of a write that has no outcome yet.
    fn stop(&mut self, pick: usize) {
        let starts = |(number, record): (&u32, &Record)| match &record.purpose {
            Purpose::Starts(run) => Some((*number, record.thread, run.clone())),
            Purpose::Plain | Purpose::Stops(_) => None,
        };
        let starting: Vec<_> = self.kept.iter().filter_map(starts).collect();
        if let Some((_, of, run)) = pick.checked_rem(starting.len()).map(|at| starting[at].clone()) {
            self.add(of, Purpose::Stops(run));
        }
    }

    /// Another tab takes over what is kept. Requests under way may still arrive, but nobody hears the answers.
    fn hand_over(&mut self) {
        for number in core::mem::take(&mut self.flying) {
            self.perform(number);
        }
        self.outbox.resign();
        self.outbox = Outbox::new(self.now);
        for (number, record) in &self.kept {
            self.outbox.add(*number, thread(record.thread), record.purpose.clone(), record.tried);
        }
    }

    fn finish(&mut self) {
        for _ in 0..10_000 {
            while !self.flying.is_empty() {
                self.run(Op::Arrive(0));
            }
            match self.outbox.deadline() {
                Some(due) => self.run(Op::Pass(due.saturating_sub(self.now).max(1))),
                None => return,
            }
        }
        panic!("the outbox does not become empty");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_write_has_one_effect_and_a_threads_are_in_order(ops in prop::collection::vec(op(), 0..80)) {
        let mut world = World {
            outbox: Outbox::new(3),
            kept: BTreeMap::new(),
            flying: Vec::new(),
            done: Vec::new(),
            started: BTreeSet::new(),
            stops: BTreeSet::new(),
            dropped: BTreeSet::new(),
            failed: BTreeSet::new(),
            last: 0,
            now: 0,
        };
        for op in ops {
            world.run(op);
        }
        world.finish();
        assert!(world.kept.is_empty(), "{:?} has no outcome", world.kept);
        let mut latest = BTreeMap::new();
        for (of, number) in world.done.iter().filter(|(_, number)| !world.stops.contains(number)) {
            let before = latest.insert(*of, *number);
            assert!(before < Some(*number), "thread {of}: {number} after {before:?}");
        }
        for number in 1..=world.last {
            let done = world.done.iter().filter(|(_, known)| *known == number).count();
            let outcomes =
                done + usize::from(world.dropped.contains(&number)) + usize::from(world.failed.contains(&number));
            // A stop whose run was never sent is done without the server.
            let least = usize::from(!world.stops.contains(&number));
            assert!((least..=1).contains(&outcomes), "write {number} has {outcomes} outcomes");
        }
    }
}
