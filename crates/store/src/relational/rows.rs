//! Rows as values: what the rules read and write. Each store has its own columns and statements for them.

use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, ChainHash, Fork, ForkOption, JsonText, Message, MessageId, MessageStatus, Millis, Outcome, Position,
    Role, RunId, RunInfo, RunStatus, Thread, ThreadId,
};

use super::codec::{NONE, Stretch, owner_at};
use super::fail::Damage;
use crate::{Held, Secret};

/// A scope by its numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Principal {
    /// The tenant.
    pub tenant: i64,
    /// The user, whose number is its own over all tenants.
    pub user: i64,
}

/// A thread: what it is, and where its log stands.
#[derive(Debug, Clone)]
pub struct ThreadRow {
    /// Its number, given by the store.
    pub num: i64,
    /// The tenant's number.
    pub tenant: i64,
    /// The user whose it is.
    pub owner: i64,
    /// Its id, taken once in a tenant.
    pub id: ThreadId,
    /// What lists show it as.
    pub title: String,
    /// What the client keeps with it.
    pub metadata: Option<JsonText>,
    /// Lists show it among the archived ones.
    pub archived: bool,
    /// An import of it is not finished: nobody sees it.
    pub hidden: bool,
    /// The branch that is opened where none is named.
    pub default_branch: i64,
    /// What commitments are made with.
    pub secret: Secret,
    /// The store's part of its epoch.
    pub base: u64,
    /// The thread's own part of its epoch.
    pub epoch: u64,
    /// The newest record of its log.
    pub seq: u64,
    /// The log's chained hash there.
    pub hash: ChainHash,
    /// Branches made so far: the next one's number.
    pub branches: i64,
    /// Messages made so far: the next one's number.
    pub messages: i64,
    /// When it was made.
    pub created_at: Millis,
    /// When a message or run of it changed last.
    pub updated_at: Millis,
}

impl ThreadRow {
    /// Where the log stands.
    #[must_use]
    pub fn position(&self) -> Position {
        // Neither part exceeds 2^63: both are columns of signed numbers.
        Position { epoch: self.base.saturating_add(self.epoch), seq: self.seq, hash: self.hash }
    }

    /// The thread as its owner reads it.
    #[must_use]
    pub fn shown(&self, default_branch: BranchId) -> Thread {
        Thread {
            id: self.id.clone(),
            title: self.title.clone(),
            metadata: self.metadata.clone(),
            archived: self.archived,
            default_branch,
            branches: self.branches.unsigned_abs(),
            messages: self.messages.unsigned_abs(),
            created_at: self.created_at,
            updated_at: self.updated_at,
        }
    }

    /// Whether its owner sees it and these are the owner's numbers.
    #[must_use]
    pub fn is_seen_by(&self, who: Principal) -> bool {
        self.owner == who.user && !self.hidden
    }
}

/// A message that others follow, and where it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pred {
    /// Its number.
    pub num: i64,
    /// The branch that it was first written on.
    pub branch: i64,
    /// Its depth.
    pub depth: u64,
}

/// A branch: where a line leaves its parent, and which branches own its slots.
#[derive(Debug, Clone)]
pub struct BranchRow {
    /// Its number in the thread.
    pub num: i64,
    /// Its id, taken once in the thread.
    pub id: BranchId,
    /// The branch that owns the slot before it, or [`NONE`] for a line of its own.
    pub parent: i64,
    /// The first depth that differs from the parent's.
    pub fork_depth: u64,
    /// Slots on the whole line.
    pub total: u64,
    /// How many messages the thread had when it was made.
    pub made: i64,
    /// The last message on the line, where it is known without reading the slot: a store may keep it with the row.
    pub tip: Option<Pred>,
    /// Which branches own the line's slots.
    pub lineage: Vec<Stretch>,
}

impl BranchRow {
    /// Whether a message stands on the line since it was written there: a branch's own slots never change. Of one that was
    /// written elsewhere this says nothing.
    ///
    /// # Errors
    /// If the lineage is damaged.
    pub fn owns(&self, row: &MessageRow) -> Result<bool, Damage> {
        Ok(row.depth < self.total && owner_at(&self.lineage, row.depth)?.branch == row.branch)
    }
}

/// A message, with its branch's id.
#[derive(Debug, Clone)]
pub struct MessageRow {
    /// Its number in the thread.
    pub num: i64,
    /// Its id, taken once in the thread.
    pub id: MessageId,
    /// Who says it.
    pub role: Role,
    /// Whether it is written, settled or removed.
    pub status: MessageStatus,
    /// How often it was changed; begins at 1.
    pub rev: u64,
    /// The branch it was first written on.
    pub branch: i64,
    /// That branch's id.
    pub branch_id: BranchId,
    /// Its slot.
    pub depth: u64,
    /// When it was made.
    pub created_at: Millis,
    /// What it says.
    pub body: Body,
}

/// How a message stands now, for an answer that is given again.
#[derive(Debug, Clone)]
pub struct Standing {
    /// Whether it is written, settled or removed.
    pub status: MessageStatus,
    /// How often it was changed.
    pub rev: u64,
    /// What it says.
    pub body: Body,
}

impl From<MessageRow> for Standing {
    fn from(row: MessageRow) -> Self {
        Self { status: row.status, rev: row.rev, body: row.body }
    }
}

impl MessageRow {
    /// The message as a window shows it, whole.
    #[must_use]
    pub fn shown(self) -> Message {
        Message {
            id: self.id,
            role: self.role,
            parts: self.body.parts,
            metadata: self.body.metadata,
            status: self.status,
            branch: self.branch_id,
            depth: self.depth,
            rev: self.rev,
            created_at: self.created_at,
            previews: Vec::new(),
        }
    }
}

/// What a slot holds: the message and its place among its siblings, if it has any.
#[derive(Debug)]
pub struct Slot {
    /// The message.
    pub message: MessageRow,
    /// Its place among the messages that follow the same one.
    pub siblings: Option<Siblings>,
}

/// A message's place among the messages that follow the same one.
#[derive(Debug)]
pub struct Siblings {
    /// Its place in the order of their making.
    pub index: u64,
    /// How many there are.
    pub total: u64,
    /// The one before it.
    pub previous: Option<ForkOption>,
    /// The one after it.
    pub next: Option<ForkOption>,
}

impl Siblings {
    /// The fork as a window shows it at a message.
    #[must_use]
    pub fn shown(self, row: &MessageRow) -> Fork {
        Fork {
            depth: row.depth,
            message: row.id.clone(),
            index: self.index,
            total: self.total,
            previous: self.previous,
            next: self.next,
        }
    }
}

/// The messages that follow one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Followers {
    /// How many there are.
    pub total: u64,
    /// The last of them to be made, or [`NONE`].
    pub last: i64,
}

impl Followers {
    /// Nothing follows.
    pub const NOBODY: Self = Self { total: 0, last: NONE };
}

/// A message as its siblings know it.
#[derive(Debug, Clone)]
pub struct Sibling {
    /// Its number.
    pub num: i64,
    /// Its id.
    pub id: MessageId,
    /// The id of the branch it was first written on.
    pub branch: BranchId,
}

/// A run, with the ids of what it writes.
#[derive(Debug, Clone)]
pub struct RunRow {
    /// Its number, given by the store.
    pub num: i64,
    /// The tenant's number.
    pub tenant: i64,
    /// Its id, taken once in a tenant.
    pub id: RunId,
    /// Whose thread it is.
    pub owner: i64,
    /// The thread's number.
    pub thread: i64,
    /// The thread's id.
    pub thread_id: ThreadId,
    /// The branch that it writes on.
    pub branch: i64,
    /// The branch's id.
    pub branch_id: BranchId,
    /// The message that it writes.
    pub message: i64,
    /// The message's id.
    pub message_id: MessageId,
    /// The message's depth.
    pub depth: u64,
    /// Whether it goes on.
    pub status: RunStatus,
    /// How it ended.
    pub outcome: Option<Outcome>,
    /// The newest fencing token.
    pub fence: u64,
    /// The node that has the lease.
    pub holder: String,
    /// When the lease runs out.
    pub until: Millis,
    /// Who answers.
    pub provider: String,
    /// What it was asked.
    pub request: JsonText,
    /// Chunks that are folded into the message.
    pub folded: u64,
    /// Chunks in its stream; written when it ends, until then the stream itself knows.
    pub length: u64,
    /// Why it failed.
    pub error: Option<String>,
    /// When it began.
    pub started_at: Millis,
    /// When it ended.
    pub ended_at: Option<Millis>,
    /// What it holds in budgets, until it ends.
    pub held: Option<Held>,
}

impl RunRow {
    /// The run as readers see it, with the given offset.
    #[must_use]
    pub fn shown(&self, offset: u64) -> RunInfo {
        RunInfo {
            id: self.id.clone(),
            branch: self.branch_id.clone(),
            message: self.message_id.clone(),
            depth: self.depth,
            status: self.status,
            outcome: self.outcome,
            offset,
            provider: self.provider.clone(),
            started_at: self.started_at,
            error: self.error.clone(),
        }
    }
}

/// An answer that is kept for whoever repeats the request.
#[derive(Debug, Clone)]
pub struct ReceiptRow {
    /// The request's digest.
    pub digest: Vec<u8>,
    /// The thread that it goes with; none for a deletion's, whose effect stays.
    pub thread: Option<i64>,
    /// The sealed answer. Empty: the request made a thread that was deleted.
    pub answer: Vec<u8>,
    /// The request made its thread.
    pub makes: bool,
}
