//! What may be asked of a thread, and what a write answers. Ids that are missing are minted here, so a request is what a
//! caller says and nothing else.

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, JsonText, Message, MessageId, Position, Role, RunId, RunInfo, Thread, ThreadId};
use threadmill_store::{IdempotencyKey, IfMoved, LockToken};

use crate::telemetry::trace::context::TraceParent;
use crate::threads::edit::Edit;

/// On what terms a write is made.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Its name, under which a repetition gets the first answer.
    pub key: Option<IdempotencyKey>,
    /// The lock that it is made under.
    pub under: Option<LockToken>,
    /// The trace that it is part of, for a run that it starts.
    pub parent: Option<TraceParent>,
}

/// A message to write; ids that are missing are minted.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// The id that the caller minted, under which a retry finds it.
    pub id: Option<MessageId>,
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub body: Body,
    /// The branch; the default one if none is named.
    pub branch: Option<BranchId>,
    /// The message it was written after.
    pub after: Option<MessageId>,
    /// What to do if that is no longer the tip.
    pub if_moved: IfMoved,
    /// What to do if a run is live.
    pub when_busy: WhenBusy,
}

/// What an append does while a run is live on its branch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WhenBusy {
    /// It is refused with `run_in_progress`.
    Refuse,
    /// It waits for the run to end. Nothing is acknowledged, so nothing is promised, before it is written.
    Wait,
}

/// A run to start on what was just written.
#[derive(Debug, Clone, Default)]
pub struct NewRun {
    /// The id that the caller minted, by which it can be stopped at once.
    pub id: Option<RunId>,
    /// The id of the message it writes.
    pub message: Option<MessageId>,
    /// Who writes it.
    pub by: WrittenBy,
}

/// Who writes a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WrittenBy {
    /// This server, as a provider answers: the default one if none is named.
    Provider(Option<String>),
    /// A program outside.
    Outside,
}

impl Default for WrittenBy {
    fn default() -> Self {
        Self::Provider(None)
    }
}

/// A run to start by itself.
#[derive(Debug, Clone)]
pub struct RunRequest {
    /// The branch; the default one if none is named.
    pub branch: Option<BranchId>,
    /// The answer to replace, if one is.
    pub regenerate: Option<MessageId>,
    /// The rest.
    pub run: NewRun,
}

/// A thread to make, with a first message and a run if asked.
#[derive(Debug, Clone, Default)]
pub struct CreateRequest {
    /// The id that the caller minted: taken for good, also after the thread was deleted.
    pub id: Option<ThreadId>,
    /// What lists show; the first user message gives it if empty.
    pub title: String,
    /// The app's own JSON.
    pub metadata: Option<JsonText>,
    /// The first message.
    pub message: Option<AppendRequest>,
    /// The run that answers it.
    pub run: Option<NewRun>,
}

/// What of a thread to change.
#[derive(Debug, Clone, Default)]
pub struct UpdateRequest {
    /// A new title.
    pub title: Option<String>,
    /// A new flag.
    pub archived: Option<bool>,
    /// Another default branch.
    pub default_branch: Option<BranchId>,
    /// The app's own JSON in place of what it was.
    pub metadata: Option<JsonText>,
}

/// A message to change.
#[derive(Debug, Clone)]
pub struct EditRequest {
    /// Which.
    pub message: MessageId,
    /// What it shall say.
    pub edit: Edit,
    /// The revision that its author has seen, if a change since then is to be refused rather than undone.
    pub rev: Option<u64>,
    /// The line it is seen on.
    pub branch: Option<BranchId>,
    /// The new message's id, should it fork.
    pub copy: Option<MessageId>,
    /// A run that answers it.
    pub run: Option<NewRun>,
}

/// What a write did.
#[derive(Debug, Clone, Default)]
pub struct Written {
    /// The thread, where it was made or changed.
    pub thread: Option<Thread>,
    /// The message that was written.
    pub message: Option<Message>,
    /// The run that was started.
    pub run: Option<RunInfo>,
    /// The message that run writes.
    pub run_message: Option<Message>,
    /// The fencing token that it was started under.
    pub fence: Option<u64>,
    /// Where the log is.
    pub position: Position,
}
