//! What a history says of how it went: how much happened while the fault lasted, and how long anybody waited.

use std::collections::BTreeMap;
use std::fmt;

use super::history::{Act, End, Entry, Frame, Mark, Micros, Said};

/// See the module.
#[derive(Debug, Clone, Copy)]
pub(super) struct Measured {
    /// Writes that were acknowledged while the fault lasted.
    pub(super) acknowledged: usize,
    /// Writes, attempt by attempt, whose end nobody knows, over all.
    pub(super) unknown: usize,
    /// Frames that came to watchers while the fault lasted.
    pub(super) delivered: usize,
    /// The longest time from an acknowledgement to its delivery, from the fault on, at watchers who stay.
    pub(super) lag: Micros,
    /// The longest time without a chunk within a run, from the fault on, at watchers who stay.
    pub(super) pause: Micros,
    /// The longest call.
    pub(super) call: Micros,
    pub(super) resets: usize,
    /// Edits and deletions that were acknowledged while the fault lasted, by node.
    pub(super) changed: [usize; 3],
    /// How long the fault lasted.
    pub(super) lasted: Micros,
}

impl fmt::Display for Measured {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { acknowledged, unknown, delivered, resets, .. } = self;
        let ms = |micros: Micros| micros / 1000;
        write!(
            f,
            "in {} ms: {acknowledged} writes acknowledged, {delivered} frames delivered; {unknown} ends unknown; \
             longest wait for a write {} ms, for a chunk {} ms, for an answer {} ms; {resets} resets",
            ms(self.lasted),
            ms(self.lag),
            ms(self.pause),
            ms(self.call)
        )
    }
}

/// When a mark was made; never if it was not.
pub(super) fn moment(entries: &[Entry], wanted: Mark) -> Micros {
    let mut marks = entries.iter().filter_map(|entry| match entry {
        Entry::Mark { mark, at } if *mark == wanted => Some(*at),
        _ => None,
    });
    marks.next().unwrap_or(Micros::MAX)
}

fn is_write(act: &Act) -> bool {
    *act != Act::Read
}

fn is_done(end: &End) -> bool {
    matches!(end, End::Acknowledged { .. } | End::Forked { .. })
}

fn is_delivery(said: &Said) -> bool {
    matches!(said, Said::Change { .. } | Said::Advance { .. } | Said::Chunks { .. } | Said::Window(_))
}

/// Writes that were acknowledged since a moment, and frames that came.
pub(super) fn since(entries: &[Entry], from: Micros) -> (usize, usize) {
    between(entries, from, Micros::MAX)
}

fn between(entries: &[Entry], from: Micros, to: Micros) -> (usize, usize) {
    // Entries are in the order of their ends.
    let first = entries.partition_point(|entry| ended(entry) < from);
    let rest = entries[first..].iter().take_while(|entry| ended(entry) <= to);
    rest.fold((0, 0), |(written, delivered), entry| match entry {
        Entry::Call(call) if is_write(&call.act) && is_done(&call.end) => (written + 1, delivered),
        Entry::Frame(frame) if is_delivery(&frame.said) => (written, delivered + 1),
        Entry::Call(_) | Entry::Frame(_) | Entry::Mark { .. } | Entry::Logged(_) | Entry::Kept { .. } => {
            (written, delivered)
        }
    })
}

fn ended(entry: &Entry) -> Micros {
    match entry {
        Entry::Call(call) => call.to,
        Entry::Frame(frame) => frame.at,
        Entry::Mark { at, .. } => *at,
        Entry::Logged(_) | Entry::Kept { .. } => Micros::MAX,
    }
}

pub(super) fn measure(entries: &[Entry]) -> Measured {
    let (began, ended) = (moment(entries, Mark::FaultBegan), moment(entries, Mark::FaultEnded));
    let (acknowledged, delivered) = between(entries, began, ended);
    let calls = || {
        entries.iter().filter_map(|entry| match entry {
            Entry::Call(call) => Some(call),
            _ => None,
        })
    };
    let frames = || {
        entries.iter().filter_map(|entry| match entry {
            Entry::Frame(frame) => Some(frame),
            _ => None,
        })
    };
    let resets = frames().filter(|frame| matches!(frame.said, Said::Reset { .. })).count();
    let unknown = calls().filter(|call| is_write(&call.act) && matches!(call.end, End::Unknown { .. })).count();
    let stay: Vec<&Frame> = frames().filter(|frame| frame.watcher % 3 != 2).collect();
    let mut acks: BTreeMap<&str, Vec<(u64, Micros)>> = BTreeMap::new();
    for call in calls().filter(|call| call.from >= began) {
        if let End::Acknowledged { seq } | End::Forked { seq } = call.end {
            acks.entry(&call.thread).or_default().push((seq, call.to));
        }
    }
    Measured {
        acknowledged,
        unknown,
        delivered,
        lag: lag(&stay, &acks),
        pause: pause(&stay, began),
        call: calls().map(|call| call.to - call.from).max().unwrap_or_default(),
        resets,
        changed: [0, 1, 2].map(|node| changed(entries, node, began, ended)),
        lasted: ended.saturating_sub(began),
    }
}

fn changed(entries: &[Entry], node: usize, began: Micros, ended: Micros) -> usize {
    let is_one = |entry: &&Entry| match entry {
        Entry::Call(call) => {
            let in_time = call.node == node && call.from >= began && call.to <= ended;
            in_time && is_done(&call.end) && matches!(call.act, Act::Edit { .. } | Act::Remove { .. })
        }
        Entry::Frame(_) | Entry::Mark { .. } | Entry::Logged(_) | Entry::Kept { .. } => false,
    };
    entries.iter().filter(is_one).count()
}

/// The longest time from an acknowledgement until a watcher's place was at or past it.
fn lag(frames: &[&Frame], acks: &BTreeMap<&str, Vec<(u64, Micros)>>) -> Micros {
    let mut places: BTreeMap<(usize, &str), Vec<(u64, Micros)>> = BTreeMap::new();
    for frame in frames {
        let seq = match &frame.said {
            Said::Change { seq, .. } | Said::Advance { seq, .. } => *seq,
            Said::Window(shown) => shown.seq,
            Said::Resumed | Said::Reset { .. } | Said::Chunks { .. } | Said::Left => continue,
        };
        places.entry((frame.watcher, &frame.thread)).or_default().push((seq, frame.at));
    }
    let mut longest = 0;
    for ((_, thread), steps) in &places {
        for (seq, acknowledged) in acks.get(thread).into_iter().flatten() {
            let at = steps.partition_point(|(reached, _)| reached < seq);
            // What never comes is the checker's.
            if let Some((_, came)) = steps.get(at) {
                longest = longest.max(came.saturating_sub(*acknowledged));
            }
        }
    }
    longest
}

/// The longest time between two pieces of one run.
fn pause(frames: &[&Frame], began: Micros) -> Micros {
    let mut last: BTreeMap<(usize, &str), Micros> = BTreeMap::new();
    let mut longest = 0;
    for frame in frames {
        if let Said::Chunks { run, .. } = &frame.said
            && let Some(before) = last.insert((frame.watcher, run), frame.at)
            && frame.at >= began
        {
            longest = longest.max(frame.at - before);
        }
    }
    longest
}
