//! What was asked and what was seen, each with its times: JSON lines that a checker reads when all is over.
//!
//! Times are microseconds of one monotonic clock, that of the process that asked and saw.

use std::fmt::Write as _;
use std::path::Path;

use serde::{Deserialize, Serialize};
use threadmill_proto::change::MessageRef;
use threadmill_proto::{Change, Message, MessageStatus};

/// Microseconds since the history began.
pub(crate) type Micros = u64;

/// One line of a history.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) enum Entry {
    Call(Call),
    Frame(Frame),
    Mark {
        mark: Mark,
        at: Micros,
    },
    /// A record of the durable log, as it was when all was over.
    Logged(Logged),
    /// A message as it is kept when all is over.
    Kept {
        thread: String,
        body: Body,
    },
}

/// What the test did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Mark {
    FaultBegan,
    FaultEnded,
    /// Nobody watches any more.
    Over,
}

/// A request, from before it was sent until its answer was read or not waited for any more.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Call {
    pub(crate) node: usize,
    pub(crate) from: Micros,
    pub(crate) to: Micros,
    pub(crate) thread: String,
    pub(crate) act: Act,
    pub(crate) end: End,
}

/// What was asked. Texts are never used twice, so that a text says which write it is of; a repetition of a request is
/// the same act.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub(crate) enum Act {
    Append {
        message: String,
        text: String,
    },
    /// An append that has a run answer it.
    Ask {
        message: String,
        text: String,
        run: String,
        answer: String,
    },
    /// Where it forks, `fork` is the new message.
    Edit {
        message: String,
        text: String,
        fork: String,
    },
    Remove {
        message: String,
    },
    Stop {
        run: String,
    },
    Read,
}

/// How it ended, as far as whoever asked knows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum End {
    /// It was done, and the log was at `seq` then.
    Acknowledged { seq: u64 },
    /// An edit was done, as a fork.
    Forked { seq: u64 },
    /// It was not done, with this code.
    Refused { code: String },
    /// It may have been done.
    Unknown { why: String },
    /// A reading and what it showed.
    Shown(Shown),
}

/// A window.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Shown {
    pub(crate) epoch: u64,
    pub(crate) seq: u64,
    pub(crate) bodies: Vec<Body>,
    /// Runs under way and how far their streams go.
    pub(crate) runs: Vec<(String, u64)>,
}

/// The bytes of a message somewhere.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Body {
    pub(crate) message: String,
    pub(crate) rev: u64,
    pub(crate) text: String,
    /// A run writes it, so that it grows without another revision.
    pub(crate) streaming: bool,
    pub(crate) removed: bool,
}

impl Body {
    pub(crate) fn of(message: &Message) -> Self {
        Self {
            message: message.id.to_string(),
            rev: message.rev,
            text: message.text(),
            streaming: message.status == MessageStatus::Streaming,
            removed: message.status == MessageStatus::Removed,
        }
    }
}

/// Something a watcher was sent, or lived through.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) watcher: usize,
    pub(crate) node: usize,
    pub(crate) at: Micros,
    /// When what it belongs to was asked for.
    pub(crate) asked: Micros,
    pub(crate) thread: String,
    pub(crate) said: Said,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Said {
    Window(Shown),
    Resumed,
    Reset {
        reason: String,
    },
    Change {
        epoch: u64,
        seq: u64,
        record: Record,
        body: Option<Body>,
    },
    Advance {
        epoch: u64,
        seq: u64,
    },
    Chunks {
        run: String,
        message: String,
        from: u64,
        to: u64,
        text: String,
    },
    /// The connection is over, whoever ended it.
    Left,
}

/// A record of the durable log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Logged {
    pub(crate) thread: String,
    pub(crate) seq: u64,
    /// When it was committed, by the clock of the node, brought to this history's.
    pub(crate) at: Micros,
    pub(crate) record: Record,
}

/// What a record says, as far as it can be checked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Record {
    Appended {
        message: String,
        rev: u64,
    },
    Edited {
        message: String,
        rev: u64,
    },
    Removed {
        message: String,
        rev: u64,
    },
    Started {
        run: String,
        message: String,
        rev: u64,
    },
    Stopping {
        run: String,
    },
    Ended {
        run: String,
        message: String,
        rev: u64,
        offset: u64,
    },
    /// Something of the thread or its branches.
    Other,
}

impl Record {
    pub(crate) fn of(change: &Change) -> Self {
        let named = |message: &MessageRef| (message.id.to_string(), message.rev);
        match change {
            Change::MessageAppended(message) => {
                let (message, rev) = named(message);
                Self::Appended { message, rev }
            }
            Change::MessageEdited(message) => {
                let (message, rev) = named(message);
                Self::Edited { message, rev }
            }
            Change::MessageRemoved(message) => {
                let (message, rev) = named(message);
                Self::Removed { message, rev }
            }
            Change::RunStarted { run, message, .. } => {
                let (message, rev) = named(message);
                Self::Started { run: run.to_string(), message, rev }
            }
            Change::RunStopping { run } => Self::Stopping { run: run.to_string() },
            Change::RunEnded { run, message, offset, .. } => {
                let (message, rev) = named(message);
                Self::Ended { run: run.to_string(), message, rev, offset: *offset }
            }
            Change::ThreadCreated { .. }
            | Change::ThreadUpdated { .. }
            | Change::ThreadDeleted
            | Change::ThreadImported { .. }
            | Change::BranchForked { .. }
            | Change::DefaultBranchMoved { .. } => Self::Other,
        }
    }

    /// The message it is about and its revision then.
    pub(crate) fn message(&self) -> Option<(&str, u64)> {
        match self {
            Self::Appended { message, rev }
            | Self::Edited { message, rev }
            | Self::Removed { message, rev }
            | Self::Started { message, rev, .. }
            | Self::Ended { message, rev, .. } => Some((message, *rev)),
            Self::Stopping { .. } | Self::Other => None,
        }
    }
}

/// Keeps a history as JSON lines.
pub(crate) fn write(path: &Path, entries: &[Entry]) {
    let mut lines = String::new();
    for entry in entries {
        writeln!(lines, "{}", serde_json::to_string(entry).expect("JSON")).expect("text");
    }
    std::fs::write(path, lines).expect("the history is kept");
}

/// Reads what was kept.
pub(crate) fn read(path: &Path) -> Vec<Entry> {
    let lines = std::fs::read_to_string(path).expect("a history");
    lines.lines().map(|line| serde_json::from_str(line).expect("an entry")).collect()
}
