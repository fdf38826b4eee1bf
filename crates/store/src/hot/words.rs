//! What is put into the hot tier and what it answers.

use std::time::Duration;

use bytes::Bytes;

use super::{Cause, Hint, HotError, HotResult, TailKey, ThreadKey};

/// The largest epoch or number of an entry: 2^53 - 1, since Redis counts in doubles inside its scripts.
pub const MAX_NUMBER: u64 = (1 << 53) - 1;

/// The most bytes one append may bring. Redis looks at its memory limit only before a script, so a script must not
/// write much (one that wrote 20 MB went through at a limit of 8).
pub const MAX_APPEND_BYTES: usize = 2 << 20;

/// The most bytes of entries that are handed on with the word of an append: every node hears it, and few want it.
pub const MAX_TOLD_BYTES: usize = 4 << 10;

/// The longest name of a lock, of its owner or of a member, in bytes.
pub const MAX_NAME_BYTES: usize = 256;

/// The most bytes a member's state may have.
pub const MAX_STATE_BYTES: usize = 256;

/// The most members a thread shows as present; who comes later is not shown.
pub const MAX_PRESENT: usize = 4096;

/// How long things are kept that nobody touches.
#[derive(Debug, Clone, Copy)]
pub struct Lifetimes {
    /// A page, from when it was last put or read. 1 hour by default.
    pub page: Duration,
    /// A tail, from when it was last extended. 1 hour by default.
    pub tail: Duration,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { page: Duration::from_secs(3600), tail: Duration::from_secs(3600) }
    }
}

/// A place in a log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// The log's epoch.
    pub epoch: u64,
    /// The number of the last entry up to here; 0 before the first.
    pub seq: u64,
}

/// How much of a tail is kept.
#[derive(Debug, Clone, Copy)]
pub struct Keep {
    /// At most so many entries, at least 1.
    pub entries: u32,
    /// At most about so many bytes of them, but always the last one.
    pub bytes: u32,
}

impl Default for Keep {
    /// 1024 entries and 256 KiB: some minutes of a fast answer, and what one frame may carry.
    fn default() -> Self {
        Self { entries: 1024, bytes: 256 << 10 }
    }
}

/// What to do with an append that lies further ahead than the tail's next entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnGap {
    /// Refuse it.
    Refuse,
    /// Drop what is there and begin anew. For a writer that knows that the tier missed something.
    Restart,
}

/// An append to a tail. It was committed by the durable tier before.
#[derive(Debug, Clone)]
pub struct TailAppend {
    /// The tail.
    pub tail: TailKey,
    /// Where its first entry goes: the epoch, and the number before it.
    pub after: Place,
    /// The entries, at least one, at most [`MAX_APPEND_BYTES`].
    pub entries: Vec<Bytes>,
    /// How much of the tail is kept.
    pub keep: Keep,
    /// What to do if the tail ends before that place.
    pub on_gap: OnGap,
}

impl TailAppend {
    /// The place after it.
    #[must_use]
    pub fn end(&self) -> Place {
        Place { epoch: self.after.epoch, seq: self.after.seq.saturating_add(self.entries.len() as u64) }
    }

    /// What is told of it once it is accepted: of a run, where its stream ends, with the entries that led there if
    /// the tier can hand them on and they are small. Of a log nothing, since its head is told by itself.
    #[must_use]
    pub fn word(&self, told: Told) -> Option<Hint> {
        let TailKey::Run(thread, run) = &self.tail else { return None };
        let bytes: usize = self.entries.iter().map(Bytes::len).sum();
        let entries = match told {
            Told::WithEntries if bytes <= MAX_TOLD_BYTES => self.entries.clone(),
            Told::WithEntries | Told::Alone => Vec::new(),
        };
        Some(Hint::Run { thread: thread.clone(), run: run.clone(), end: self.end(), entries })
    }

    /// Checks what every backend asks of an append.
    ///
    /// # Errors
    /// `Invalid` for numbers above [`MAX_NUMBER`], no entries, or too many bytes.
    pub fn check(&self) -> HotResult<()> {
        let bytes: usize = self.entries.iter().map(Bytes::len).sum();
        let end = self.end();
        match () {
            () if end.epoch > MAX_NUMBER || end.seq > MAX_NUMBER => invalid("the place is out of range"),
            () if self.entries.is_empty() => invalid("an append has entries"),
            () if bytes > MAX_APPEND_BYTES => invalid("the append has too many bytes"),
            () if self.keep.entries == 0 => invalid("a tail keeps at least one entry"),
            () => Ok(()),
        }
    }
}

/// How a backend tells of appends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Told {
    /// It pushes to listeners, so that what was appended may go along.
    WithEntries,
    /// Listeners look for it: the less there is, the better.
    Alone,
}

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extended {
    /// The tail ends with it.
    Accepted,
    /// It is not what comes next; nothing was changed.
    Refused {
        /// Where the tail ends. It may be wrong about that: only the durable tier knows which epoch is current.
        there: Place,
    },
}

/// An entry of a tail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TailEntry {
    /// Its number.
    pub seq: u64,
    /// What it says.
    pub bytes: Bytes,
}

/// What a tail holds after a place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum TailRead {
    /// The entries that follow, without a gap; none if the place is the tail's end.
    Entries(Vec<TailEntry>),
    /// The tail cannot say what follows: read the durable log.
    Gap {
        /// Where the tail ends, if there is one.
        there: Option<Place>,
    },
}

/// The state of an advisory lock after a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LockAnswer {
    /// The owner who asked has it, for as long as it asked for.
    Held,
    /// The owner who asked does not have it.
    Refused {
        /// Who has it, if anybody.
        owner: Option<String>,
        /// For how long at most, if nothing happens.
        left: Duration,
    },
}

/// A member's state in a thread, to be shown to others for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mark {
    /// The thread.
    pub thread: ThreadKey,
    /// The member: a user's device or tab, at most [`MAX_NAME_BYTES`].
    pub member: String,
    /// What the member does, at most [`MAX_STATE_BYTES`]; opaque here.
    pub state: Bytes,
}

/// A member that is present.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Present {
    /// Who.
    pub member: String,
    /// Doing what.
    pub state: Bytes,
}

/// How a backend is laid out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotMode {
    /// In the memory of this process.
    Process,
    /// One server.
    Standalone,
    /// A primary that sentinels watch.
    Sentinel,
    /// A cluster.
    Cluster,
    /// A service behind HTTP.
    Rest,
}

/// What the server that answers is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HotRole {
    /// It takes writes.
    Primary,
    /// It takes none.
    Replica,
}

/// What a backend says of itself, for graphs and the ops page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HotInfo {
    /// The software: `memory`, `redis`, `valkey`, `upstash`.
    pub software: String,
    /// Its version as it writes it.
    pub version: String,
    /// How it is laid out.
    pub mode: HotMode,
    /// What the server that answered is.
    pub role: HotRole,
    /// Bytes in use, over all servers that were asked. `None` if it does not say.
    pub used_bytes: Option<u64>,
    /// The limit of these bytes. `None` if there is none.
    pub max_bytes: Option<u64>,
    /// Values found under this deployment's keys that did not verify, since this process began. Not 0 means that
    /// somebody else writes there, or that memory or wires are bad.
    pub unverified: u64,
}

fn invalid<T>(why: &str) -> HotResult<T> {
    Err(HotError::Invalid(why.to_owned()))
}

/// Checks a name of a lock, an owner or a member.
///
/// # Errors
/// `Invalid` if it is empty or longer than [`MAX_NAME_BYTES`].
pub(crate) fn check_name(name: &str) -> HotResult<()> {
    if name.is_empty() || name.len() > MAX_NAME_BYTES { invalid("a name has 1 to 256 bytes") } else { Ok(()) }
}

impl Mark {
    /// Checks what every backend asks of a mark.
    ///
    /// # Errors
    /// `Invalid` for a bad name or a state that is too long.
    pub fn check(&self) -> HotResult<()> {
        check_name(&self.member)?;
        if self.state.len() > MAX_STATE_BYTES { invalid("a member's state has at most 256 bytes") } else { Ok(()) }
    }
}

impl super::LockKey {
    /// Checks what every backend asks of a lock and its owner.
    ///
    /// # Errors
    /// `Invalid` for a bad name.
    pub fn check(&self, owner: &str) -> HotResult<()> {
        check_name(&self.name)?;
        check_name(owner)
    }
}

impl HotError {
    /// An outage of a backend.
    #[must_use]
    pub fn unavailable(store: &'static str, cause: Cause, detail: impl Into<String>) -> Self {
        Self::Unavailable { store, cause, detail: detail.into() }
    }
}

/// What was sent to a tier since the process began: what a vendor bills.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sent {
    /// Commands, each of a pipeline by itself; a call of a script is one.
    pub commands: u64,
    /// Of them, those that write, which are repeated in every region.
    pub writes: u64,
    /// Bytes of all of them.
    pub bytes: u64,
}
