//! What can be asked to change, and what is answered.
//!
//! A [`Transaction`] is a list of commands that take effect together or not at all. Ids and times are the
//! caller's: a store makes neither.

use std::sync::Arc;
use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, Chunk, JsonText, Message, MessageId, Millis, Outcome, Position, Role, RunId, RunInfo, Scope, Thread,
    ThreadId,
};

use crate::{Amount, Hold, LockToken};

/// Commands that take effect together or not at all.
#[derive(Debug, Clone)]
pub struct Transaction {
    /// On whose behalf.
    pub scope: Scope,
    /// The time to write down.
    pub at: Millis,
    /// Repeating a transaction with its key has no second effect and gets the first answer.
    pub key: Option<IdempotencyKey>,
    /// The lock that it is made under: it takes effect only if this is the newest token granted. A repeated key is
    /// answered whatever the token, since that changes nothing.
    pub under: Option<LockToken>,
    /// What to do, in order. Never empty.
    pub commands: Vec<Command>,
}

/// How many of a user's last deletions are remembered: with an id of the largest size 13 MB, and more than a person
/// deletes in a life.
pub const TOMBSTONES: u64 = 100_000;

/// A client's name for one request, kept while its effect exists.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IdempotencyKey {
    /// Unique for the user.
    pub key: String,
    /// Of the request; the same key with another digest is [`crate::Conflict::KeyReused`].
    pub digest: [u8; 32],
}

/// What to do when a message was to follow another one and the branch has moved on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IfMoved {
    /// Append at the tip anyway.
    Append,
    /// Fork after the message named.
    Fork,
    /// Refuse with [`crate::Conflict::TipMoved`].
    Refuse,
}

/// A message to be made.
#[derive(Debug, Clone)]
pub struct NewMessage {
    /// Unique in its thread.
    pub id: MessageId,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub body: Body,
}

/// The right to write to a run until a time.
#[derive(Debug, Clone)]
pub struct Lease {
    /// The node.
    pub owner: String,
    /// Liveness only: safety is the fencing token's.
    pub until: Millis,
}

/// One change to ask for.
#[derive(Debug, Clone)]
pub enum Command {
    /// Make a thread with its first, empty branch.
    CreateThread {
        /// Its id.
        id: ThreadId,
        /// The first branch's id.
        branch: BranchId,
        /// May be empty: the first user message then gives it.
        title: String,
        /// The app's own JSON.
        metadata: Option<JsonText>,
    },
    /// Change what lists show, or which branch opens.
    UpdateThread {
        /// The thread.
        id: ThreadId,
        /// A new title.
        title: Option<String>,
        /// A new flag.
        archived: Option<bool>,
        /// Another default branch.
        default_branch: Option<BranchId>,
        /// The app's own JSON in place of what it was. The log says that the thread was updated, and not to what.
        metadata: Option<JsonText>,
    },
    /// Make a thread unreadable at once and remove all it holds, receipts included.
    DeleteThread {
        /// The thread.
        id: ThreadId,
        /// Only if its log stands here: else [`crate::Conflict::TipMoved`].
        at: Option<u64>,
    },
    /// Put a message into the next slot of a branch.
    Append {
        /// The thread.
        thread: ThreadId,
        /// The branch; the default one if none is named.
        branch: Option<BranchId>,
        /// The message it was written after, if the writer says so.
        after: Option<MessageId>,
        /// What to do if that is no longer the tip.
        if_moved: IfMoved,
        /// What to append.
        message: NewMessage,
        /// The id for a branch, should one fork off here.
        fork: BranchId,
    },
    /// Change a message: in place if it is the tip of `branch`, else by a fork that becomes the default branch.
    /// A live run on `branch` at or after the message is sealed in the same commit.
    Edit {
        /// The thread.
        thread: ThreadId,
        /// The message.
        message: MessageId,
        /// The line it is seen on; the default branch if that has it, else the branch that owns it.
        branch: Option<BranchId>,
        /// What it shall say.
        body: Body,
        /// The revision that `body` was made from: at any other the edit is refused, since it would undo a change
        /// that its author has not seen. None: whatever stands there is replaced.
        rev: Option<u64>,
        /// The branch's id, should it fork.
        fork: BranchId,
        /// The new message's id, should it fork.
        copy: MessageId,
    },
    /// Turn a message into a tombstone.
    Remove {
        /// The thread.
        thread: ThreadId,
        /// The message.
        message: MessageId,
    },
    /// Begin a run: its message takes the next slot, or replaces one by a fork.
    StartRun {
        /// The thread.
        thread: ThreadId,
        /// The branch. If none is named: the one the transaction wrote a message on just before, else the default one.
        branch: Option<BranchId>,
        /// Answer anew instead of this message: fork at its slot. The fork becomes the default branch.
        regenerate: Option<MessageId>,
        /// The branch's id, should it fork.
        fork: BranchId,
        /// The run's id.
        run: RunId,
        /// The id of the message it writes.
        message: MessageId,
        /// The configured provider.
        provider: String,
        /// What the provider is given: system prompt, range of messages, limits.
        request: JsonText,
        /// Who writes it.
        lease: Lease,
        /// What it may cost, and the budgets that this counts in. A refusal starts nothing.
        hold: Option<Hold>,
    },
    /// Make a stop durable: the run is sealed, its stream takes nothing more, its token grows.
    StopRun {
        /// The run.
        run: RunId,
    },
    /// End a run that this token owns. Its message becomes final with this body.
    EndRun {
        /// The run.
        run: RunId,
        /// The token of whoever holds it.
        fence: u64,
        /// How it ended.
        outcome: Outcome,
        /// What its chunks fold to.
        body: Body,
        /// What went wrong, in words for a person.
        error: Option<String>,
        /// What it cost; all that it held, if nobody knows.
        spent: Option<Amount>,
    },
}

/// What a command did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Applied {
    /// A thread was made or changed.
    Thread(Thread),
    /// A message was appended, edited or removed.
    Message {
        /// As it is now.
        message: Message,
        /// A run that the change sealed and somebody must end.
        stopping: Option<StoppingRun>,
    },
    /// A run began.
    Started {
        /// The run.
        run: RunInfo,
        /// Its message.
        message: Message,
        /// The token that its chunks must carry.
        fence: u64,
    },
    /// A run was sealed; whoever asked ends it with this token.
    Stopping(StoppingRun),
    /// A run had already been stopped or had ended: nothing was done.
    AlreadyOver(RunInfo),
    /// A run ended.
    Ended {
        /// The run.
        run: RunInfo,
        /// Its final message.
        message: Message,
    },
    /// The thread is gone.
    Deleted,
}

/// A sealed run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoppingRun {
    /// The run.
    pub run: RunId,
    /// The token to end it with.
    pub fence: u64,
}

/// The answer to a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Committed {
    /// One for each command.
    pub applied: Vec<Applied>,
    /// Where the last thread's log is after it. Default after a deletion.
    pub position: Position,
    /// The key was known: this is the first answer, and nothing was done now.
    pub replayed: bool,
}

/// Chunks for a run's stream.
#[derive(Debug, Clone)]
pub struct ChunkAppend {
    /// On whose behalf the run works.
    pub scope: Scope,
    /// The run.
    pub run: RunId,
    /// The writer's token.
    pub fence: u64,
    /// The lock that it is made under, as [`Transaction::under`].
    pub under: Option<LockToken>,
    /// The stream's offset before them; anything but the end is [`crate::StoreError::Invalid`].
    pub from: u64,
    /// What to append.
    pub chunks: Arc<[Chunk]>,
    /// What everything up to and with these chunks folds to, given about every 64 KiB.
    pub checkpoint: Option<Body>,
}

/// A thread that comes whole from elsewhere. Nobody sees it before it is finished.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImportThread {
    /// Its id.
    pub id: ThreadId,
    /// What lists show.
    pub title: String,
    /// The app's own JSON.
    pub metadata: Option<JsonText>,
    /// Kept, but out of the list.
    pub archived: bool,
    /// When it was made.
    pub created_at: Millis,
    /// When it was last changed.
    pub updated_at: Millis,
}

/// What an import found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImportState {
    /// An empty, hidden thread waits for rows. A hidden rest of an earlier attempt was removed.
    Begun,
    /// The user has a finished thread of this id; nothing was done.
    AlreadyThere,
    /// The id belongs to somebody else.
    Taken,
}

/// One row of an import, in the order of their making: a branch before its first message, a parent's
/// slots before a branch that forks after them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImportRow {
    /// A branch.
    Branch {
        /// Its id.
        id: BranchId,
        /// The branch it leaves; none for a line of its own from depth 0.
        parent: Option<BranchId>,
        /// The first depth that differs.
        fork_depth: u64,
    },
    /// A message in the next slot of the branch it names. `streaming` is taken as `interrupted`.
    Message(Message),
}
