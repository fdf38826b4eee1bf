//! Rows and the patches that bring a host's copy of them up to date.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::vec::Vec;
use threadmill_proto::{BranchId, Fork, Message, MessageId, Part, Problem, RunId, RunStatus};

/// A message as the window shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// The message. While a run writes it, its parts are those it had when the row came or changed for another
    /// reason; what the run adds is in the patches of its parts.
    pub message: Message,
    /// Its siblings, if the thread forks here.
    pub fork: Option<Fork>,
    /// The run that writes it.
    pub run: Option<RunId>,
}

/// Whether there is something to show.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Nothing yet.
    #[default]
    Loading,
    /// Rows are there; they may be behind while the connection is down.
    Ready,
    /// The thread or branch cannot be shown.
    Failed,
    /// The thread is gone.
    Deleted,
}

/// A side of the window.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// Towards depth 0.
    Older,
    /// Towards the tip.
    Newer,
}

/// The run a reader may stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HeadRun {
    /// The run.
    pub id: RunId,
    /// Its message.
    pub message: MessageId,
    /// Live or stopping.
    pub status: RunStatus,
}

/// What is known of the window apart from its rows.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Head {
    /// Whether there is something to show.
    pub phase: Phase,
    /// Why not.
    pub problem: Option<Problem>,
    /// Slots on the branch.
    pub total: u64,
    /// First depth covered.
    pub from: u64,
    /// One past the last depth covered; what lies beyond, up to `total`, is a gap.
    pub to: u64,
    /// A page of older rows is on its way.
    pub loading_older: bool,
    /// A page of newer rows is on its way.
    pub loading_newer: bool,
    /// The branch shown.
    pub branch: Option<BranchId>,
    /// The branch that opens by default, if it was heard of.
    pub default_branch: Option<BranchId>,
    /// The title, if it changed since the view opened.
    pub title: Option<String>,
    /// The run that writes a row.
    pub run: Option<HeadRun>,
}

/// One step from the rows a host has to the rows there are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Patch {
    /// Everything apart from rows is now so.
    Head(Box<Head>),
    /// These are the rows; what runs write begins with the parts of their rows.
    Reset(Vec<Row>),
    /// Rows before the first.
    Prepend(Vec<Row>),
    /// Rows after the last.
    Append(Vec<Row>),
    /// The first rows are held no more.
    DropFirst(usize),
    /// The last rows are held no more.
    DropLast(usize),
    /// The row of the same message id is now so.
    Update(Box<Row>),
    /// The message became a tombstone.
    Remove(MessageId),
    /// Text was appended to a text or reasoning part of a row that a run writes.
    Text {
        /// The row's message.
        message: MessageId,
        /// Which of its parts.
        part: usize,
        /// What is appended.
        delta: String,
    },
    /// A part of a row that a run writes is now this; one past the last is a new one.
    Part {
        /// The row's message.
        message: MessageId,
        /// Which of its parts.
        part: usize,
        /// All of it, its text so far included.
        value: Box<Part>,
    },
    /// A page arrived or did not.
    Loaded {
        /// Where.
        side: Side,
        /// Rows it brought.
        added: usize,
        /// Why it did not.
        problem: Option<Problem>,
    },
    /// A jump or a switch could not be made; the window is where it was.
    Stayed(Problem),
}

/// The text parts, joined.
#[must_use]
pub fn text_of(parts: &[Part]) -> String {
    let mut all = String::new();
    for part in parts {
        if let Part::Text { text, .. } = part {
            all.push_str(text);
        }
    }
    all
}
