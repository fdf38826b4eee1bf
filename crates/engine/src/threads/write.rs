//! Writing: threads, messages and the runs that answer them, each request one transaction.

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, ErrorCode, JsonText, Message, MessageId, Position, Problem, Role, RunId, RunInfo, Scope, Thread, ThreadId,
};
use threadmill_store::{
    Applied, Command, Committed, IdempotencyKey, IfMoved, LockToken, NewMessage, StoppingRun, StoreResult, Transaction,
};
use tokio::time::Instant;

use crate::runs::registry::PATIENCE;
use crate::threads::check::{check_body, check_title};
use crate::threads::edit::Edit;
use crate::threads::permit::cost_of;
use crate::{Answer, Engine, node::ids as mint, problem_of};

/// On what terms a write is made.
#[derive(Debug, Clone, Default)]
pub struct Terms {
    /// Its name, under which a repetition gets the first answer.
    pub key: Option<IdempotencyKey>,
    /// The lock that it is made under.
    pub under: Option<LockToken>,
}

/// A message to write; ids that are missing are minted.
#[derive(Debug, Clone)]
pub struct AppendRequest {
    /// Its id.
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
    /// Its id.
    pub id: Option<RunId>,
    /// The id of the message it writes.
    pub message: Option<MessageId>,
    /// The provider; the default one if none is named.
    pub provider: Option<String>,
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
    /// Its id.
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
    /// Where the log is.
    pub position: Position,
}

impl Engine {
    /// Makes a thread, with a first message and a run if asked: all or nothing.
    ///
    /// # Errors
    /// The id is taken, a limit is exceeded, or the provider is unknown.
    pub async fn create(self: &Arc<Self>, scope: &Scope, terms: Terms, request: CreateRequest) -> Answer<Written> {
        check_title(&request.title, &self.limits)?;
        let id = request.id.unwrap_or_else(mint::thread_id);
        let mut commands = vec![Command::CreateThread {
            id: id.clone(),
            branch: mint::branch_id(),
            title: request.title,
            metadata: request.metadata,
        }];
        if let Some(message) = request.message {
            commands.push(self.append_command(&id, message)?);
        }
        if let Some(run) = request.run {
            commands.push(self.run_command(&id, None, None, run)?);
        }
        let mut written = self.write(scope, terms, commands).await?;
        if let Some(made) = &written.thread {
            // The first message may have given it its title. A repeated request made it under its first id.
            written.thread = Some(self.store.thread(scope, &made.id).await.map_err(problem_of)?);
        }
        Ok(written)
    }

    /// Appends a message, and starts a run on it if asked.
    ///
    /// # Errors
    /// The tip moved, a run is live, or a limit is exceeded.
    pub async fn append(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        message: AppendRequest,
        run: Option<NewRun>,
    ) -> Answer<Written> {
        let (branch, when_busy) = (message.branch.clone(), message.when_busy);
        let mut commands = vec![self.append_command(thread, message)?];
        if let Some(run) = run {
            // It follows the message, wherever that goes.
            commands.push(self.run_command(thread, None, None, run)?);
        }
        match when_busy {
            WhenBusy::Refuse => self.write(scope, terms, commands).await,
            WhenBusy::Wait => self.append_when_idle(scope, terms, thread, branch, commands).await,
        }
    }

    /// Appends as soon as no run is live on the branch, within a minute however many begin meanwhile. What waits holds its body, so its bytes are bounded.
    async fn append_when_idle(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        branch: Option<BranchId>,
        commands: Vec<Command>,
    ) -> Answer<Written> {
        let (mut waits, until) = (None, Instant::now() + PATIENCE);
        loop {
            match self.write(scope, terms.clone(), commands.clone()).await {
                Err(problem) if problem.code == ErrorCode::RunInProgress => {
                    if waits.is_none() {
                        waits = Some(self.patient.enter(scope, cost_of(&commands))?);
                    }
                    self.until_idle(scope, thread, branch.clone(), until).await?;
                }
                done => return done,
            }
        }
    }

    fn append_command(&self, thread: &ThreadId, request: AppendRequest) -> Answer<Command> {
        check_body(&request.body, &self.limits)?;
        Ok(Command::Append {
            thread: thread.clone(),
            branch: request.branch,
            after: request.after,
            if_moved: request.if_moved,
            message: NewMessage {
                id: request.id.unwrap_or_else(mint::message_id),
                role: request.role,
                body: request.body,
            },
            fork: mint::branch_id(),
        })
    }

    fn run_command(
        &self,
        thread: &ThreadId,
        branch: Option<BranchId>,
        regenerate: Option<MessageId>,
        run: NewRun,
    ) -> Answer<Command> {
        self.may_begin()?;
        let provider = self.providers.named(run.provider.as_deref())?;
        Ok(Command::StartRun {
            thread: thread.clone(),
            branch,
            regenerate,
            fork: mint::branch_id(),
            run: run.id.unwrap_or_else(mint::run_id),
            message: run.message.unwrap_or_else(mint::message_id),
            provider: provider.name.clone(),
            request: self.request_record(&provider.model),
            lease: self.lease(),
        })
    }

    /// Edits a message, and answers it anew if asked.
    ///
    /// # Errors
    /// It cannot be edited, or a limit is exceeded.
    pub async fn edit(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        request: EditRequest,
    ) -> Answer<Written> {
        let (body, rev) = match self.edited(scope, thread, &request).await {
            Ok(edited) => edited,
            // A repetition has its answer, whatever the message says by now: the store knows, and does nothing else,
            // since no message has that revision.
            Err(problem) if terms.key.is_some() => {
                let command = edit_command(thread, &request, Body::default(), Some(u64::MAX));
                let answer = self.write(scope, terms, vec![command]).await;
                return answer.map_err(|other| if other.code == ErrorCode::MessageChanged { problem } else { other });
            }
            Err(problem) => return Err(problem),
        };
        let mut commands = vec![edit_command(thread, &request, body, rev)];
        if let Some(run) = request.run {
            commands.push(self.run_command(thread, None, None, run)?);
        }
        self.write(scope, terms, commands).await
    }

    /// What the message says after an edit, and the revision that this was made from, if it was made from one.
    async fn edited(&self, scope: &Scope, thread: &ThreadId, request: &EditRequest) -> Answer<(Body, Option<u64>)> {
        let (before, rev) = match &request.edit {
            Edit::Whole(_) => (Body::default(), request.rev),
            Edit::Texts(_) | Edit::OnlyText(_) => {
                let message = self.store.message(scope, thread, &request.message).await.map_err(problem_of)?;
                if request.rev.is_some_and(|rev| rev != message.rev) {
                    return Err(Problem::new(ErrorCode::MessageChanged, "The message was changed meanwhile."));
                }
                (Body { parts: message.parts, metadata: message.metadata }, Some(message.rev))
            }
        };
        let body = request.edit.clone().applied_to(before)?;
        check_body(&body, &self.limits)?;
        Ok((body, rev))
    }

    /// Turns a message into a tombstone.
    ///
    /// # Errors
    /// There is none, or a run is writing it.
    pub async fn remove(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        message: &MessageId,
    ) -> Answer<Written> {
        let command = Command::Remove { thread: thread.clone(), message: message.clone() };
        self.write(scope, terms, vec![command]).await
    }

    /// Changes what lists show, or which branch opens.
    ///
    /// # Errors
    /// There is no such thread or branch, or the title is too long.
    pub async fn update(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        change: UpdateRequest,
    ) -> Answer<Written> {
        let UpdateRequest { title, archived, default_branch } = change;
        check_title(title.as_deref().unwrap_or_default(), &self.limits)?;
        let command = Command::UpdateThread { id: thread.clone(), title, archived, default_branch };
        self.write(scope, terms, vec![command]).await
    }

    /// Deletes a thread: unreadable at once.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn delete(self: &Arc<Self>, scope: &Scope, terms: Terms, thread: &ThreadId) -> Answer<Written> {
        let written = self.write(scope, terms, vec![Command::DeleteThread { id: thread.clone() }]).await?;
        self.registry.cancel_thread(&(scope.tenant.clone(), thread.clone()));
        Ok(written)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// One is live on the branch, or the provider is unknown.
    pub async fn start_run(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        request: RunRequest,
    ) -> Answer<Written> {
        let command = self.run_command(thread, request.branch, request.regenerate, request.run)?;
        self.write(scope, terms, vec![command]).await
    }

    /// Commits, then starts what the commit started and ends what it sealed. It goes on if the caller goes away.
    pub(crate) async fn write(
        self: &Arc<Self>,
        scope: &Scope,
        terms: Terms,
        commands: Vec<Command>,
    ) -> Answer<Written> {
        let (cost, thread) = (cost_of(&commands), thread_of(&commands));
        let Terms { key, under } = terms;
        let transaction = Transaction { scope: scope.clone(), at: mint::now(), key, under, commands };
        let (store, whose) = (Arc::clone(&self.store), scope.clone());
        let write = async move { store.apply(transaction).await };
        self.admitted(scope, cost, write, move |engine, done| engine.follow_up(&whose, thread.as_ref(), done)).await
    }

    /// Makes a write in its turn, and what follows from it: `cost` is [`cost_of`] it. It goes on if the caller goes away.
    ///
    /// # Errors
    /// `overloaded` if too much waits already, or what the store says.
    pub(crate) async fn admitted<T: Send + 'static, U: Send + 'static>(
        self: &Arc<Self>,
        scope: &Scope,
        cost: u64,
        write: impl Future<Output = StoreResult<T>> + Send + 'static,
        follow: impl FnOnce(&Arc<Self>, T) -> U + Send + 'static,
    ) -> Answer<U> {
        let (place, engine) = (self.writes.place(scope, cost)?, Arc::clone(self));
        let task = tokio::spawn(async move {
            let permit = place.turn().await;
            let written = write.await;
            drop(permit);
            engine.note(&written);
            written.map(|done| follow(&engine, done)).map_err(|error| engine.lost(error))
        });
        task.await.unwrap_or_else(|_| Err(Problem::new(ErrorCode::Internal, "The write was cut short by a defect.")))
    }

    fn follow_up(self: &Arc<Self>, scope: &Scope, thread: Option<&ThreadId>, committed: Committed) -> Written {
        let mut written = Written { position: committed.position, ..Written::default() };
        for applied in committed.applied {
            match applied {
                Applied::Thread(thread) => written.thread = Some(thread),
                Applied::Message { message, stopping } => {
                    written.message = Some(message);
                    self.end_sealed(scope, stopping);
                }
                Applied::Started { run, message, fence } => {
                    if let (Some(thread), false) = (thread, committed.replayed) {
                        self.spawn_run(scope, thread, &run, fence);
                    }
                    written.run = Some(run);
                    written.run_message = Some(message);
                }
                Applied::Stopping(stopping) => self.end_sealed(scope, Some(stopping)),
                Applied::AlreadyOver(run) => written.run = Some(run),
                Applied::Ended { run, message } => {
                    written.run = Some(run);
                    written.message = Some(message);
                }
                Applied::Deleted => {}
            }
        }
        written
    }

    fn end_sealed(self: &Arc<Self>, scope: &Scope, stopping: Option<StoppingRun>) {
        let Some(stopping) = stopping else { return };
        self.registry.cancel(&(scope.tenant.clone(), stopping.run.clone()));
        let (engine, scope) = (Arc::clone(self), scope.clone());
        tokio::spawn(async move { engine.end_stopped(&scope, &stopping).await });
    }
}

/// The thread that a transaction which starts a run is about.
fn thread_of(commands: &[Command]) -> Option<ThreadId> {
    commands.iter().find_map(|command| match command {
        Command::StartRun { thread, .. } => Some(thread.clone()),
        _ => None,
    })
}

fn edit_command(thread: &ThreadId, request: &EditRequest, body: Body, rev: Option<u64>) -> Command {
    Command::Edit {
        thread: thread.clone(),
        message: request.message.clone(),
        branch: request.branch.clone(),
        body,
        rev,
        fork: mint::branch_id(),
        copy: request.copy.clone().unwrap_or_else(mint::message_id),
    }
}
