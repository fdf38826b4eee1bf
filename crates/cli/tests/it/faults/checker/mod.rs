//! Decides, from a history and the durable log alone, whether everybody got what they were promised.
//!
//! It knows nothing of servers, and asks nobody: what it is given is what is judged. `planted.rs` shows that it finds
//! what it is there to find.

mod bytes;
mod log;
mod watch;

use std::collections::BTreeMap;

use super::history::{Act, Body, Call, End, Entry, Frame, Logged, Mark, Micros, Record};

/// All who watch agree with the log this long after a fault.
pub(crate) const AGREED: Micros = 10_000_000;
/// What was committed this shortly before the watching ended may not have come yet.
const ON_ITS_WAY: Micros = 1_000_000;

/// What can be wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Verdict {
    /// An acknowledged write is not in the log, or not kept.
    Lost,
    /// One write took effect twice.
    Doubled,
    /// The log has something that nobody asked for.
    Unsent,
    /// A write that was refused is in the log.
    DoneThoughRefused,
    /// One request has two answers.
    TwoAnswers,
    /// The log's numbers have a hole.
    Hole,
    /// What was asked for after an acknowledgement shows what was before it.
    Stale,
    /// What was asked for after a deletion was acknowledged shows what was deleted.
    Deleted,
    /// Bytes that nobody wrote there.
    Foreign,
    /// A watcher was not told something.
    Gap,
    /// A watcher was told something twice.
    Repeated,
    /// A watcher was told something late, after what follows it.
    Reordered,
    /// A stream went on after its end.
    AfterEnd,
    /// A watcher was told something else than the log says.
    Disagrees,
    /// A watcher did not come to where the log is.
    Behind,
}

/// What is wrong, and where.
#[derive(Debug, Clone)]
pub(crate) struct Violation {
    pub(crate) verdict: Verdict,
    pub(crate) detail: String,
}

fn found(verdict: Verdict, detail: String) -> Violation {
    Violation { verdict, detail }
}

/// A write that was acknowledged: when, and what the log's number was then.
struct Done<'h> {
    act: &'h Act,
    end: &'h End,
    seq: u64,
    to: Micros,
}

/// A history, sorted.
struct Facts<'h> {
    calls: Vec<&'h Call>,
    /// Those about a message, by thread and message; those that may fork are about the new one, too.
    about: BTreeMap<(&'h str, &'h str), Vec<&'h Call>>,
    frames: Vec<&'h Frame>,
    /// By thread, in order.
    log: BTreeMap<&'h str, Vec<&'h Logged>>,
    /// By thread and message.
    kept: BTreeMap<(&'h str, &'h str), &'h Body>,
    /// By thread.
    done: BTreeMap<&'h str, Vec<Done<'h>>>,
    /// Where the log says that a message came to a revision.
    revisions: BTreeMap<(&'h str, &'h str, u64), u64>,
    /// By run, how many chunks its stream has.
    ends: BTreeMap<&'h str, u64>,
    fault_ended: Option<Micros>,
    over: Option<Micros>,
}

impl<'h> Facts<'h> {
    fn of(entries: &'h [Entry]) -> Self {
        let mut facts = Self {
            calls: Vec::new(),
            about: BTreeMap::new(),
            ends: BTreeMap::new(),
            frames: Vec::new(),
            log: BTreeMap::new(),
            kept: BTreeMap::new(),
            done: BTreeMap::new(),
            revisions: BTreeMap::new(),
            fault_ended: None,
            over: None,
        };
        for entry in entries {
            match entry {
                Entry::Call(call) => facts.call(call),
                Entry::Frame(frame) => facts.frames.push(frame),
                Entry::Mark { mark: Mark::FaultBegan, .. } => {}
                Entry::Mark { mark: Mark::FaultEnded, at } => facts.fault_ended = Some(*at),
                Entry::Mark { mark: Mark::Over, at } => facts.over = Some(*at),
                Entry::Logged(logged) => facts.logged(logged),
                Entry::Kept { thread, body } => {
                    facts.kept.insert((thread, &body.message), body);
                }
            }
        }
        facts
    }

    fn call(&mut self, call: &'h Call) {
        self.calls.push(call);
        let messages = match &call.act {
            Act::Append { message, .. } | Act::Ask { message, .. } | Act::Remove { message } => [Some(message), None],
            Act::Edit { message, fork, .. } => [Some(message), Some(fork)],
            Act::Stop { .. } | Act::Read => [None, None],
        };
        for message in messages.into_iter().flatten() {
            self.about.entry((&call.thread, message)).or_default().push(call);
        }
        if let End::Acknowledged { seq } | End::Forked { seq } = call.end {
            self.done.entry(&call.thread).or_default().push(Done { act: &call.act, end: &call.end, seq, to: call.to });
        }
    }

    fn logged(&mut self, logged: &'h Logged) {
        self.log.entry(&logged.thread).or_default().push(logged);
        if let Some((message, rev)) = logged.record.message() {
            self.revisions.insert((&logged.thread, message, rev), logged.seq);
        }
        if let Record::Ended { run, offset, .. } = &logged.record {
            self.ends.insert(run, *offset);
        }
    }

    fn logged_at(&self, thread: &str, seq: u64) -> Option<&'h Logged> {
        let log = self.log(thread);
        log.binary_search_by_key(&seq, |logged| logged.seq).ok().map(|at| log[at])
    }

    fn log(&self, thread: &str) -> &[&'h Logged] {
        self.log.get(thread).map_or(&[], Vec::as_slice)
    }
}

/// Everything that is wrong with a history.
pub(crate) fn check(entries: &[Entry]) -> Vec<Violation> {
    let facts = Facts::of(entries);
    let mut violations = log::check(&facts);
    violations.extend(bytes::check(&facts));
    violations.extend(watch::check(&facts));
    violations
}
