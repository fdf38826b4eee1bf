//! Short words for the checks: ids, bodies, commands, and a chat that remembers its thread and its time.

pub mod shapes;

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Chunk, JsonText, Message, MessageId, Millis, Outcome, Part, Position, Role, RunId, RunInfo,
    Scope, TenantId, ThreadId, UserId, Window,
};

use super::Rig;
use crate::{
    Applied, Changes, ChunkAppend, Command, Committed, Conflict, DurableStore, IdempotencyKey, IfMoved, Lease, Missing,
    NewMessage, PageLimits, StoppingRun, StoreError, StoreResult, Transaction, WindowQuery,
};

macro_rules! ids {
    ($($name:ident $type:ident)*) => {$(
        /// An id.
        #[must_use]
        pub fn $name(text: &str) -> $type {
            $type::parse(text).expect("checks use valid ids")
        }
    )*};
}

ids! { thread_id ThreadId branch_id BranchId message_id MessageId run_id RunId }

/// A user of a tenant.
#[must_use]
pub fn scope(tenant: &str, user: &str) -> Scope {
    Scope {
        tenant: TenantId::parse(tenant).expect("checks use valid ids"),
        user: UserId::parse(user).expect("checks use valid ids"),
    }
}

/// A body with one text.
#[must_use]
pub fn body(text: &str) -> Body {
    Body { parts: vec![Part::text(text)], metadata: None }
}

/// A key for a request.
#[must_use]
pub fn key(name: &str, request: u8) -> IdempotencyKey {
    IdempotencyKey { key: name.to_owned(), digest: [request; 32] }
}

/// A lease of a node.
#[must_use]
pub fn lease(owner: &str, until: Millis) -> Lease {
    Lease { owner: owner.to_owned(), until }
}

/// A piece of text for the part `0`.
#[must_use]
pub fn delta(text: &str) -> Chunk {
    Chunk::TextDelta { id: "0".into(), delta: text.to_owned() }
}

/// Asserts that something was refused for this reason.
///
/// # Panics
/// If it was not.
pub fn refused<T: std::fmt::Debug>(result: StoreResult<T>, why: &StoreError) {
    let error = result.expect_err("this is refused");
    assert_eq!(error.to_string(), why.to_string());
}

/// Asserts that something makes no sense to the store.
///
/// # Panics
/// If it did.
pub fn nonsense<T: std::fmt::Debug>(result: StoreResult<T>) {
    let error = result.expect_err("this is refused");
    assert!(matches!(error, StoreError::Invalid(_)), "{error:?}");
}

/// Asserts a conflict.
pub fn conflict<T: std::fmt::Debug>(result: StoreResult<T>, why: Conflict) {
    refused(result, &why.into());
}

/// Asserts that a thing is not there.
pub fn missing<T: std::fmt::Debug>(result: StoreResult<T>, what: Missing) {
    refused(result, &what.into());
}

/// A thread under test.
#[derive(Clone)]
pub struct Chat {
    /// Where it is kept.
    pub store: Arc<dyn DurableStore>,
    /// Whose it is.
    pub scope: Scope,
    /// Its id.
    pub thread: ThreadId,
    /// The time of the next transaction; goes on by itself.
    pub at: Millis,
}

impl Chat {
    /// A thread `t` of the user `ann`, with a title and the branch `main`.
    pub async fn begin(rig: &dyn Rig) -> Self {
        Self::begin_as(rig, scope("acme", "ann"), "t").await
    }

    /// A thread of this user.
    pub async fn begin_as(rig: &dyn Rig, scope: Scope, id: &str) -> Self {
        let mut chat = Self { store: rig.store(), scope, thread: thread_id(id), at: 1_000 };
        let create = chat.create("a title");
        chat.ok([create]).await;
        chat
    }

    /// The command that makes the thread.
    #[must_use]
    pub fn create(&self, title: &str) -> Command {
        Command::CreateThread {
            id: self.thread.clone(),
            branch: branch_id("main"),
            title: title.to_owned(),
            metadata: None,
        }
    }

    /// A transaction at the next moment.
    pub fn transaction(&mut self, commands: impl Into<Vec<Command>>) -> Transaction {
        self.at += 1;
        Transaction { scope: self.scope.clone(), at: self.at, key: None, under: None, commands: commands.into() }
    }

    /// Applies commands together.
    pub async fn apply(&mut self, commands: impl Into<Vec<Command>>) -> StoreResult<Committed> {
        let transaction = self.transaction(commands);
        self.store.apply(transaction).await
    }

    /// Applies commands that must succeed.
    pub async fn ok(&mut self, commands: impl Into<Vec<Command>>) -> Committed {
        self.apply(commands).await.expect("the commands apply")
    }

    /// A user's message on the default branch.
    #[must_use]
    pub fn say(&self, id: &str) -> Command {
        self.say_as(id, Role::User, &format!("text of {id}"))
    }

    /// A message on the default branch.
    #[must_use]
    pub fn say_as(&self, id: &str, role: Role, text: &str) -> Command {
        Command::Append {
            thread: self.thread.clone(),
            branch: None,
            after: None,
            if_moved: IfMoved::Append,
            message: NewMessage { id: message_id(id), role, body: body(text) },
            fork: branch_id(&format!("fork-{id}")),
        }
    }

    /// A message after another one.
    #[must_use]
    pub fn say_after(&self, id: &str, follows: &str, moved: IfMoved) -> Command {
        let mut command = self.say(id);
        if let Command::Append { after, if_moved, .. } = &mut command {
            *after = Some(message_id(follows));
            *if_moved = moved;
        }
        command
    }

    /// A message on a branch.
    #[must_use]
    pub fn say_on(&self, id: &str, on: &str) -> Command {
        let mut command = self.say(id);
        if let Command::Append { branch, .. } = &mut command {
            *branch = Some(branch_id(on));
        }
        command
    }

    /// An edit; a fork is `edit-ID` and its message `ID-2`.
    #[must_use]
    pub fn edit(&self, id: &str, text: &str) -> Command {
        Command::Edit {
            thread: self.thread.clone(),
            message: message_id(id),
            branch: None,
            body: body(text),
            rev: None,
            fork: branch_id(&format!("edit-{id}")),
            copy: message_id(&format!("{id}-2")),
        }
    }

    /// A removal.
    #[must_use]
    pub fn remove(&self, id: &str) -> Command {
        Command::Remove { thread: self.thread.clone(), message: message_id(id) }
    }

    /// A deletion of the thread.
    #[must_use]
    pub fn delete(&self) -> Command {
        Command::DeleteThread { id: self.thread.clone(), at: None }
    }

    /// A start of a run that writes `answer-RUN`, held by the node `n1` until 10,000.
    #[must_use]
    pub fn start(&self, run: &str) -> Command {
        Command::StartRun {
            thread: self.thread.clone(),
            branch: None,
            regenerate: None,
            fork: branch_id(&format!("fork-{run}")),
            run: run_id(run),
            message: message_id(&format!("answer-{run}")),
            provider: "mock".into(),
            request: JsonText("{\"system\":null}".into()),
            lease: lease("n1", 10_000),
            hold: None,
        }
    }

    /// A start of a run that answers anew.
    #[must_use]
    pub fn again(&self, run: &str, instead_of: &str) -> Command {
        let mut command = self.start(run);
        if let Command::StartRun { regenerate, .. } = &mut command {
            *regenerate = Some(message_id(instead_of));
        }
        command
    }

    /// A stop.
    #[must_use]
    pub fn stop(&self, run: &str) -> Command {
        Command::StopRun { run: run_id(run) }
    }

    /// An end.
    #[must_use]
    pub fn end(&self, run: &str, fence: u64, outcome: Outcome, text: &str) -> Command {
        Command::EndRun { run: run_id(run), fence, outcome, body: body(text), error: None, spent: None }
    }

    /// Takes a run over that nobody holds; its new token.
    pub async fn claim(&self, run: &str) -> u64 {
        let runs = self.store.unended_runs().await.expect("reads");
        let run = runs.iter().find(|found| found.scope == self.scope && found.run.as_str() == run);
        let claimed =
            self.store.claim_run(run.expect("it has not ended"), lease("claimant", u64::MAX >> 1), u64::MAX >> 1);
        claimed.await.expect("asks").expect("it is free")
    }

    /// Appends texts to a run.
    pub async fn stream(&self, run: &str, fence: u64, from: u64, texts: &[&str]) -> StoreResult<()> {
        let chunks: Vec<Chunk> = texts.iter().map(|text| delta(text)).collect();
        self.store
            .append_chunks(ChunkAppend {
                scope: self.scope.clone(),
                run: run_id(run),
                fence,
                under: None,
                from,
                chunks: chunks.into(),
                checkpoint: None,
            })
            .await
    }

    /// What a window is asked with.
    #[must_use]
    pub fn query(&self, anchor: Anchor, before: u32, after: u32) -> WindowQuery {
        WindowQuery { thread: self.thread.clone(), branch: None, anchor, before, after, limits: PageLimits::DEFAULT }
    }

    /// A window that must be there.
    pub async fn window(&self, anchor: Anchor, before: u32, after: u32) -> Window {
        let query = self.query(anchor, before, after);
        let window = self.store.window(&self.scope, query).await;
        window.expect("the window is there")
    }

    /// The newest messages of a branch, up to 200.
    pub async fn line(&self, branch: &str) -> Vec<String> {
        let query = WindowQuery { branch: Some(branch_id(branch)), ..self.query(Anchor::Tip, 200, 0) };
        let window = self.store.window(&self.scope, query).await;
        ids_of(&window.expect("the window is there").messages)
    }

    /// A message that must be there.
    pub async fn message(&self, id: &str) -> Message {
        let message = self.store.message(&self.scope, &self.thread, &message_id(id)).await;
        message.expect("the message is there")
    }

    /// What changed since a position.
    pub async fn since(&self, after: Position) -> Changes {
        let changes = self.store.changes(&self.scope, &self.thread, after, PageLimits::DEFAULT).await;
        changes.expect("the thread is there")
    }

    /// Where a reader of nothing resumes in the first epoch.
    pub async fn before_everything(&self) -> Position {
        let window = self.window(Anchor::Tip, 1, 0).await;
        Position { epoch: window.cursor.position.epoch, ..Position::default() }
    }

    /// The token that a run is given which starts now, on the thread that there is.
    pub async fn first(&self) -> u64 {
        self.before_everything().await.epoch + 1
    }

    /// Says `m0` to `mN`, answered by nobody.
    pub async fn say_many(&mut self, count: usize) {
        for n in 0..count {
            let say = self.say(&format!("m{n}"));
            self.ok([say]).await;
        }
    }
}

/// The ids of messages.
#[must_use]
pub fn ids_of(messages: &[Message]) -> Vec<String> {
    messages.iter().map(|message| message.id.as_str().to_owned()).collect()
}

/// The ids `m{from}` to `m{to - 1}`.
#[must_use]
pub fn numbered(from: u64, to: u64) -> Vec<String> {
    (from..to).map(|n| format!("m{n}")).collect()
}

/// The message of an answer's last command.
///
/// # Panics
/// If it has none.
#[must_use]
pub fn message_in(committed: &Committed) -> &Message {
    match committed.applied.last() {
        Some(Applied::Message { message, .. } | Applied::Started { message, .. } | Applied::Ended { message, .. }) => {
            message
        }
        other => panic!("no message in {other:?}"),
    }
}

/// The run and token of an answer's last command.
///
/// # Panics
/// If it started none.
#[must_use]
pub fn started_in(committed: &Committed) -> (&RunInfo, u64) {
    match committed.applied.last() {
        Some(Applied::Started { run, fence, .. }) => (run, *fence),
        other => panic!("no start in {other:?}"),
    }
}

/// The sealed run of an answer's last command.
///
/// # Panics
/// If it sealed none.
#[must_use]
pub fn stopping_in(committed: &Committed) -> &StoppingRun {
    match committed.applied.last() {
        Some(Applied::Stopping(run) | Applied::Message { stopping: Some(run), .. }) => run,
        other => panic!("no stop in {other:?}"),
    }
}
