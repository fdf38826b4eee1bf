//! The log against what was asked for: every acknowledged write once, every unknown one at most once, nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::{Act, End, Record};
use super::{Facts, Verdict, Violation, found};

/// What became of a request, all its repetitions together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    Acknowledged(u64),
    Forked(u64),
    Refused,
    Unknown,
}

impl Fate {
    fn and(self, end: &End) -> Self {
        match (self, end) {
            // A refusal says nothing of an attempt before it whose end is not known.
            (Self::Acknowledged(_) | Self::Forked(_), _) | (Self::Unknown, End::Refused { .. }) => self,
            _ => Self::of(end),
        }
    }

    fn of(end: &End) -> Self {
        match end {
            End::Acknowledged { seq } => Self::Acknowledged(*seq),
            End::Forked { seq } => Self::Forked(*seq),
            End::Refused { .. } => Self::Refused,
            End::Unknown { .. } | End::Shown(_) => Self::Unknown,
        }
    }
}

type Fates<'h> = BTreeMap<(&'h str, &'h Act), Fate>;

pub(super) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut all = Vec::new();
    let fates = fates(facts, &mut all);
    for ((thread, act), fate) in &fates {
        effect(facts, thread, act, *fate, &mut all);
    }
    for thread in facts.log.keys() {
        numbers(facts, thread, &mut all);
        origins(facts, thread, &fates, &mut all);
    }
    for ((thread, message), seq) in appended(facts, &fates) {
        if !facts.kept.contains_key(&(thread, message)) {
            all.push(found(Verdict::Lost, format!("{thread}: {message}, which is change {seq}, is not kept")));
        }
    }
    all
}

fn fates<'h>(facts: &Facts<'h>, all: &mut Vec<Violation>) -> Fates<'h> {
    let mut fates = Fates::new();
    for call in facts.calls.iter().filter(|call| call.act != Act::Read) {
        let known = fates.entry((&call.thread, &call.act)).or_insert_with(|| Fate::of(&call.end));
        let next = Fate::of(&call.end);
        if matches!(*known, Fate::Acknowledged(_) | Fate::Forked(_))
            && matches!(next, Fate::Acknowledged(_) | Fate::Forked(_))
            && *known != next
            && !matches!(call.act, Act::Stop { .. })
        {
            let detail = format!("{}: {:?} was answered {known:?} and {next:?}", call.thread, call.act);
            all.push(found(Verdict::TwoAnswers, detail));
        }
        *known = known.and(&call.end);
    }
    fates
}

/// Whether a request is in the log as its fate says.
fn effect(facts: &Facts<'_>, thread: &str, act: &Act, fate: Fate, all: &mut Vec<Violation>) {
    let count = |is: &dyn Fn(&Record) -> bool| facts.log(thread).iter().filter(|logged| is(&logged.record)).count();
    let appended = |id: &str| count(&|record| matches!(record, Record::Appended { message, .. } if message == id));
    let times = match act {
        Act::Append { message, .. } => appended(message),
        Act::Ask { message, run: id, .. } => {
            let started = count(&|record| matches!(record, Record::Started { run, .. } if run == id));
            if started != appended(message) {
                let detail = format!("{thread}: {message} is there {} times, its run {started}", appended(message));
                all.push(found(Verdict::Lost, detail));
            }
            started
        }
        Act::Edit { message: id, fork, .. } => match fate {
            Fate::Acknowledged(seq) => {
                let there = facts.logged_at(thread, seq);
                let is = |record: &Record| matches!(record, Record::Edited { message, .. } if message == id);
                usize::from(there.is_some_and(|logged| is(&logged.record)))
            }
            Fate::Forked(_) | Fate::Refused | Fate::Unknown => appended(fork),
        },
        Act::Remove { message: id } => {
            count(&|record| matches!(record, Record::Removed { message, .. } if message == id))
        }
        Act::Stop { run: id } => {
            let over =
                |record: &Record| matches!(record, Record::Stopping { run } | Record::Ended { run, .. } if run == id);
            // It stays stopping, and ends.
            count(&over).min(1)
        }
        Act::Read => return,
    };
    let verdict = match (fate, times) {
        (Fate::Acknowledged(_) | Fate::Forked(_), 0) => Verdict::Lost,
        (Fate::Refused, 1..) if !matches!(act, Act::Stop { .. }) => Verdict::DoneThoughRefused,
        (_, 2..) => Verdict::Doubled,
        (Fate::Acknowledged(_) | Fate::Forked(_) | Fate::Unknown | Fate::Refused, _) => return,
    };
    all.push(found(verdict, format!("{thread}: {act:?}, {fate:?}, is in the log {times} times")));
}

fn numbers(facts: &Facts<'_>, thread: &str, all: &mut Vec<Violation>) {
    let mut ended = BTreeSet::new();
    for (logged, expected) in facts.log(thread).iter().zip(1..) {
        if logged.seq != expected {
            let detail = format!("{thread}: change {} stands where {expected} is due", logged.seq);
            all.push(found(Verdict::Hole, detail));
            return;
        }
        if let Record::Ended { run, .. } = &logged.record
            && !ended.insert(run)
        {
            all.push(found(Verdict::Doubled, format!("{thread}: {run} ends again at {expected}")));
        }
    }
}

/// Whether somebody asked for what the log has.
fn origins(facts: &Facts<'_>, thread: &str, fates: &Fates<'_>, all: &mut Vec<Violation>) {
    let (mut appended, mut started) = (BTreeSet::new(), BTreeSet::new());
    let (mut edits, mut removed): (BTreeMap<&str, usize>, _) = (BTreeMap::new(), BTreeSet::new());
    for ((_, act), fate) in fates.iter().filter(|((of, _), _)| *of == thread) {
        match act {
            Act::Append { message, .. } => drop(appended.insert(message.as_str())),
            Act::Ask { message, run, .. } => {
                appended.insert(message);
                started.insert(run.as_str());
            }
            Act::Edit { message, fork, .. } => {
                appended.insert(fork);
                if !matches!(fate, Fate::Refused | Fate::Forked(_)) {
                    *edits.entry(message).or_default() += 1;
                }
            }
            Act::Remove { message } => drop(removed.insert(message.as_str())),
            Act::Stop { .. } | Act::Read => {}
        }
    }
    for logged in facts.log(thread) {
        let sent = match &logged.record {
            Record::Appended { message, .. } => appended.contains(message.as_str()),
            Record::Started { run, .. } | Record::Ended { run, .. } | Record::Stopping { run } => {
                started.contains(run.as_str())
            }
            Record::Removed { message, .. } => removed.contains(message.as_str()),
            Record::Edited { message, .. } => match edits.get_mut(message.as_str()) {
                Some(0) => {
                    all.push(found(Verdict::Doubled, format!("{thread}: one edit too many of {message}")));
                    true
                }
                Some(left) => {
                    *left -= 1;
                    true
                }
                None => false,
            },
            Record::Other => true,
        };
        if !sent {
            let detail = format!("{thread}: nobody asked for {:?} at {}", logged.record, logged.seq);
            all.push(found(Verdict::Unsent, detail));
        }
    }
}

/// Messages that are to be there at the end: those of the log's first line that were not removed.
fn appended<'h>(facts: &Facts<'h>, fates: &Fates<'h>) -> BTreeMap<(&'h str, &'h str), u64> {
    let forks: BTreeSet<(&str, &str)> = fates
        .keys()
        .filter_map(|(thread, act)| match act {
            Act::Edit { fork, .. } => Some((*thread, fork.as_str())),
            _ => None,
        })
        .collect();
    let mut there = BTreeMap::new();
    for (thread, log) in &facts.log {
        for logged in log {
            match &logged.record {
                Record::Appended { message, .. } | Record::Started { message, .. } => {
                    there.insert((*thread, message.as_str()), logged.seq);
                }
                Record::Removed { message, .. } => drop(there.remove(&(*thread, message.as_str()))),
                Record::Edited { .. } | Record::Stopping { .. } | Record::Ended { .. } | Record::Other => {}
            }
        }
    }
    there.retain(|key, _| !forks.contains(key));
    there
}
