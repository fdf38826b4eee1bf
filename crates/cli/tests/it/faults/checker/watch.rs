//! What each watcher was told, thread by thread: contiguous, in order, once, as the log has it, and all of it in the end.

use std::collections::{BTreeMap, BTreeSet};

use super::super::history::{Body, Frame, Record, Said, Shown};
use super::{AGREED, Facts, ON_ITS_WAY, Verdict, Violation, found};

/// Where a watcher is with a thread.
#[derive(Default)]
struct Place {
    open: bool,
    /// It had a window once.
    begun: bool,
    /// It was told that a window comes instead of what it has.
    reset: bool,
    epoch: u64,
    seq: u64,
    told: BTreeSet<u64>,
    /// How much it has of each run that is under way.
    runs: BTreeMap<String, u64>,
    ended: BTreeSet<String>,
    texts: BTreeMap<String, String>,
}

pub(super) fn check(facts: &Facts<'_>) -> Vec<Violation> {
    let mut all = Vec::new();
    let deadline = facts.fault_ended.map_or(u64::MAX, |ended| ended + AGREED);
    let mut places: BTreeMap<(usize, &str), Place> = BTreeMap::new();
    for frame in facts.frames.iter().filter(|frame| frame.at <= deadline) {
        let place = places.entry((frame.watcher, &frame.thread)).or_default();
        let mut wrong = |verdict, what: String| {
            let Frame { watcher, node, thread, at, .. } = frame;
            all.push(found(verdict, format!("watcher {watcher} at node {node}, {thread}, at {at}: {what}")));
        };
        place.take(facts, frame, &mut wrong);
    }
    let over = facts.over.unwrap_or(u64::MAX).min(deadline).saturating_sub(ON_ITS_WAY);
    for ((watcher, thread), place) in &places {
        let due = facts.log(thread).iter().filter(|logged| logged.at < over).map(|logged| logged.seq).max();
        if due.is_some_and(|due| place.seq < due) {
            let detail = format!("watcher {watcher}, {thread}: it is at {} in the end, the log at {due:?}", place.seq);
            all.push(found(Verdict::Behind, detail));
        } else {
            place.compare(facts, *watcher, thread, &mut all);
        }
    }
    all
}

impl Place {
    fn take(&mut self, facts: &Facts<'_>, frame: &Frame, wrong: &mut impl FnMut(Verdict, String)) {
        match &frame.said {
            Said::Window(shown) => self.window(shown, wrong),
            Said::Resumed => {
                if self.open || !self.begun {
                    wrong(Verdict::Disagrees, "it is resumed, out of the blue".into());
                }
                self.open = true;
            }
            Said::Reset { .. } => (self.reset, self.open) = (true, false),
            Said::Change { epoch, seq, record, body } => {
                self.step(*epoch, *seq, wrong);
                if facts.logged_at(&frame.thread, *seq).is_none_or(|logged| logged.record != *record) {
                    wrong(Verdict::Disagrees, format!("change {seq} is not {record:?}"));
                }
                self.change(record, body.as_ref(), wrong);
            }
            Said::Advance { epoch, seq } => self.step(*epoch, *seq, wrong),
            Said::Chunks { run, message, from, to, text } => {
                self.chunks(run, (*from, *to), wrong);
                self.texts.entry(message.clone()).or_default().push_str(text);
                if facts.ends.get(run.as_str()).is_some_and(|end| to > end) {
                    wrong(Verdict::AfterEnd, format!("{run} goes to {to}, and ended before"));
                }
            }
            Said::Left => self.open = false,
        }
    }

    fn window(&mut self, shown: &Shown, wrong: &mut impl FnMut(Verdict, String)) {
        if self.begun && !self.reset {
            wrong(Verdict::Disagrees, "a window comes without a word why".into());
        }
        if self.epoch == shown.epoch && self.seq > shown.seq {
            wrong(Verdict::Reordered, format!("a window goes back from {} to {}", self.seq, shown.seq));
        }
        (self.open, self.begun, self.reset) = (true, true, false);
        (self.epoch, self.seq) = (shown.epoch, shown.seq);
        self.told.clear();
        self.texts = shown.bodies.iter().map(|body| (body.message.clone(), body.text.clone())).collect();
        self.runs.clear();
        for (run, offset) in &shown.runs {
            if self.ended.contains(run) {
                wrong(Verdict::AfterEnd, format!("{run} is under way again"));
            }
            self.runs.insert(run.clone(), *offset);
        }
    }

    /// The log goes on by one.
    fn step(&mut self, epoch: u64, seq: u64, wrong: &mut impl FnMut(Verdict, String)) {
        let known = self.seq;
        // A later epoch is the same history where it goes on without a gap: the server was restarted, not rewound.
        if !self.open || epoch < self.epoch {
            wrong(Verdict::Gap, format!("change {seq} of epoch {epoch}, and nothing before it"));
        } else if seq > known + 1 {
            wrong(Verdict::Gap, format!("change {seq} after {known}"));
        } else if seq <= known {
            let verdict = if self.told.contains(&seq) { Verdict::Repeated } else { Verdict::Reordered };
            wrong(verdict, format!("change {seq} after {known}"));
        }
        self.told.insert(seq);
        (self.epoch, self.seq) = (epoch, known.max(seq));
    }

    fn change(&mut self, record: &Record, body: Option<&Body>, wrong: &mut impl FnMut(Verdict, String)) {
        match record {
            Record::Started { run, message, .. } => {
                self.runs.insert(run.clone(), 0);
                self.texts.insert(message.clone(), String::new());
            }
            Record::Ended { run, offset, .. } => {
                let known = self.runs.remove(run);
                let had = known.and_then(|_| self.texts.get(&body?.message));
                if let (Some(had), Some(body)) = (had, body)
                    && !body.text.starts_with(had.as_str())
                {
                    wrong(Verdict::Disagrees, format!("{run} said {had:?} and ends as {:?}", body.text));
                }
                if body.is_none() && known != Some(*offset) {
                    wrong(Verdict::Gap, format!("{run} ends at {offset}, which was not told before"));
                }
                if !self.ended.insert(run.clone()) {
                    wrong(Verdict::AfterEnd, format!("{run} ends again"));
                }
            }
            Record::Removed { message, .. } => drop(self.texts.remove(message)),
            Record::Appended { .. } | Record::Edited { .. } | Record::Stopping { .. } | Record::Other => {}
        }
        if let Some(body) = body.filter(|body| !body.removed) {
            self.texts.insert(body.message.clone(), body.text.clone());
        }
    }

    fn chunks(&mut self, run: &str, (from, to): (u64, u64), wrong: &mut impl FnMut(Verdict, String)) {
        let stream = self.runs.get_mut(run).filter(|_| self.open);
        match stream {
            _ if self.ended.contains(run) => wrong(Verdict::AfterEnd, format!("{run} goes on from {from} to {to}")),
            None => wrong(Verdict::Gap, format!("{run} from {from} on, which is not known to be under way")),
            Some(known) => {
                let verdict = match from.cmp(known) {
                    std::cmp::Ordering::Equal => None,
                    std::cmp::Ordering::Less => Some(Verdict::Repeated),
                    std::cmp::Ordering::Greater => Some(Verdict::Gap),
                };
                if let Some(verdict) = verdict {
                    wrong(verdict, format!("{run} from {from} after {known}"));
                }
                *known = to.max(*known);
            }
        }
    }

    /// What it has in the end is what is kept.
    fn compare(&self, facts: &Facts<'_>, watcher: usize, thread: &str, all: &mut Vec<Violation>) {
        if self.seq < facts.log(thread).last().map_or(0, |logged| logged.seq) {
            return;
        }
        for (message, text) in &self.texts {
            let kept = facts.kept.get(&(thread, message.as_str()));
            if let Some(kept) = kept.filter(|kept| !kept.streaming && kept.text != *text) {
                let detail = format!("watcher {watcher}, {thread}: {message} is {:?}, kept is {:?}", text, kept.text);
                all.push(found(Verdict::Disagrees, detail));
            }
        }
    }
}
