//! What can be asked to be read, and what is answered.

use threadmill_proto::cursor::StreamOffset;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Chunk, Event, JsonText, MessageId, Millis, Position, RunId, RunInfo, Scope, Summary, Thread,
    ThreadId,
};

use crate::ImportRow;

/// How much a page may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct PageLimits {
    /// A page ends before the message that would exceed this, but holds at least one.
    pub bytes: usize,
    /// A longer part is cut to about this many bytes and marked as a preview.
    pub preview: usize,
}

/// Which page to read.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct WindowQuery {
    /// The thread.
    pub thread: ThreadId,
    /// The branch. If none is named: the default one, except that a message anchor opens a branch it is on.
    pub branch: Option<BranchId>,
    /// Where.
    pub anchor: Anchor,
    /// Live messages below the anchor's depth.
    pub before: u32,
    /// Live messages at the anchor's depth and above.
    pub after: u32,
    /// How much.
    pub limits: PageLimits,
}

/// A branch in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Branch {
    /// Its id.
    pub id: BranchId,
    /// The branch that owns the slot before the fork.
    pub parent: Option<BranchId>,
    /// The first depth that differs.
    pub fork_depth: u64,
    /// Slots on its line, those of its ancestors included.
    pub total: u64,
}

/// Which threads to list: newest first, without those deleted.
#[derive(Debug, Clone, Default)]
pub struct ListQuery {
    /// At most this many.
    pub limit: u32,
    /// Only those below this place of the summary log: the last page's `next`.
    pub below: Option<u64>,
    /// Archived ones instead of the others.
    pub archived: bool,
    /// Only titles that contain this, whatever the case (ASCII).
    pub title: Option<String>,
}

/// A page of the list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ThreadPage {
    /// Newest first.
    pub threads: Vec<Summary>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
    /// The newest place in the user's summary log: follow from here.
    pub pos: u64,
}

/// Entries of the summary log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SummaryPage {
    /// Oldest first, tombstones included, one a thread.
    pub items: Vec<Summary>,
    /// The place this reaches.
    pub pos: u64,
    /// There is more after it.
    pub more: bool,
}

/// What happened since a position.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Changes {
    /// Contiguous from the position asked for. Each body is the message as it is now, with previews.
    Since {
        /// Oldest first.
        events: Vec<Event>,
        /// The log's head when this was read; equal to the last event's position unless the page was full.
        head: Position,
    },
    /// The position cannot be continued. On [`ResetReason::Epoch`] it is not of this log.
    Reset(ResetReason),
}

/// A run with what a writer or a late reader needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunRead {
    /// As readers see it.
    pub info: RunInfo,
    /// Its thread.
    pub thread: ThreadId,
    /// What the provider is given.
    pub request: JsonText,
    /// What its chunks up to `folded` fold to; all of them once it has ended.
    pub body: Body,
    /// See `body`.
    pub folded: StreamOffset,
}

/// Chunks of a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StreamPage {
    /// From the offset asked for.
    pub chunks: Vec<Chunk>,
    /// The offset after them.
    pub to: u64,
    /// The stream's end when this was read.
    pub end: u64,
    /// The run has ended: nothing follows `end`.
    pub closed: bool,
}

/// A run that has not ended, as the sweeper sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LeasedRun {
    /// On whose behalf it works.
    pub scope: Scope,
    /// The run.
    pub run: RunId,
    /// Its thread.
    pub thread: ThreadId,
    /// Its message.
    pub message: MessageId,
    /// Sealed by a stop.
    pub stopping: bool,
    /// The node that writes it.
    pub owner: String,
    /// When its lease runs out.
    pub until: Millis,
}

/// Rows of an export.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportPage {
    /// The thread.
    pub thread: Thread,
    /// In the order of their making; whole messages, no previews.
    pub rows: Vec<ImportRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<u64>,
}

impl PageLimits {
    /// As [`threadmill_proto::Limits::DEFAULT`] says.
    pub const DEFAULT: Self = Self {
        bytes: threadmill_proto::Limits::DEFAULT.page_bytes,
        preview: threadmill_proto::Limits::DEFAULT.part_preview_bytes,
    };
}

/// A thread as retention sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SurveyedThread {
    /// Whose it is.
    pub scope: Scope,
    /// The thread.
    pub thread: ThreadId,
    /// Where its log stands.
    pub seq: u64,
    /// When a message or run last changed it.
    pub updated_at: Millis,
    /// The app's own JSON, where the word `"pinned"` is in it.
    pub pinning: Option<JsonText>,
}

/// A page of all threads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Surveyed {
    /// The threads, without those that an import still hides.
    pub threads: Vec<SurveyedThread>,
    /// Its end, if more may follow.
    pub next: Option<String>,
}
