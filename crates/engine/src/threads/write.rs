//! Threads: each request becomes one transaction, checked before it is committed.

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{
    BranchId, Cursor, ErrorCode, Limits, Message, MessageId, Problem, Scope, TenantId, Thread, ThreadId, Window,
};
use threadmill_store::{Branch, Command, DurableStore, ListQuery, NewMessage, SummaryPage, ThreadPage, WindowQuery};
use tokio::time::Instant;

use crate::delivery::hub::Hub;
use crate::hot::pages::{EncodedWindow, KeptWindows, PageFormat};
use crate::node::{Node, ids, outside_lease};
use crate::problem::{Answer, problem_of};
use crate::providers::Providers;
use crate::providers::context::ContextPolicy;
use crate::threads::check::{check_body, check_title};
use crate::threads::costs::Costs;
use crate::threads::edit::Edit;
use crate::threads::idle::{PATIENCE, Patient, until_idle};
use crate::threads::outside::{self, EXTERNAL};
use crate::threads::permit::cost_of;
use crate::threads::read::Reads;
use crate::threads::requests::{
    AppendRequest, CreateRequest, EditRequest, NewRun, RunRequest, Terms, UpdateRequest, WhenBusy, Written, WrittenBy,
};
use crate::threads::writer::{AfterCommit, Writer};

/// Writes threads and reads them.
pub struct Threads {
    store: Arc<dyn DurableStore>,
    node: Arc<Node>,
    writer: Writer,
    reads: Arc<Reads>,
    hub: Arc<dyn Hub>,
    providers: Providers,
    costs: Costs,
    limits: Limits,
    after: Arc<dyn AfterCommit>,
    /// Appends that wait for a run to end.
    patient: Patient,
}

impl std::fmt::Debug for Threads {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Threads").finish_non_exhaustive()
    }
}

/// What [`Threads`] stands on.
pub(crate) struct Needs {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) node: Arc<Node>,
    pub(crate) writer: Writer,
    pub(crate) reads: Arc<Reads>,
    pub(crate) hub: Arc<dyn Hub>,
    pub(crate) providers: Providers,
    pub(crate) context: ContextPolicy,
    pub(crate) limits: Limits,
    pub(crate) after: Arc<dyn AfterCommit>,
}

impl Threads {
    pub(crate) fn new(needs: Needs) -> Self {
        let Needs { store, node, writer, reads, hub, providers, context, limits, after } = needs;
        let patient = Patient::default();
        let costs = Costs { store: Arc::clone(&store), plan: providers.plan().cloned(), context };
        Self { store, node, writer, reads, hub, providers, costs, limits, after, patient }
    }

    async fn write(&self, scope: &Scope, terms: Terms, commands: Vec<Command>) -> Answer<Written> {
        self.writer.write(scope, terms, commands, Arc::clone(&self.after)).await
    }

    /// Makes a thread, with a first message and a run if asked: all or nothing.
    ///
    /// # Errors
    /// The id is taken, a limit is exceeded, or the provider is unknown.
    pub async fn create(&self, scope: &Scope, terms: Terms, request: CreateRequest) -> Answer<Written> {
        check_title(&request.title, &self.limits)?;
        let id = request.id.unwrap_or_else(ids::thread_id);
        let mut commands = vec![Command::CreateThread {
            id: id.clone(),
            branch: ids::branch_id(),
            title: request.title,
            metadata: request.metadata,
        }];
        if let Some(message) = request.message {
            commands.push(self.append_command(&id, message)?);
        }
        if let Some(run) = request.run {
            let question = self.costs.of_new(&commands);
            commands.push(self.run_command(scope, &id, None, None, run, question)?);
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
        &self,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        message: AppendRequest,
        run: Option<NewRun>,
    ) -> Answer<Written> {
        let when_busy = message.when_busy;
        let message = self.append_command(thread, message)?;
        // The same in each attempt.
        let run = run.map(|run| NewRun {
            id: Some(run.id.unwrap_or_else(ids::run_id)),
            message: Some(run.message.unwrap_or_else(ids::message_id)),
            by: run.by,
        });
        match when_busy {
            WhenBusy::Refuse => {
                let commands = self.appended(scope, thread, message, run.as_ref()).await?;
                self.write(scope, terms, commands).await
            }
            WhenBusy::Wait => self.append_when_idle(scope, terms, thread, message, run.as_ref()).await,
        }
    }

    /// An append, with the run that is asked for: it follows the message, wherever that goes, and holds what the thread is now.
    async fn appended(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        message: Command,
        run: Option<&NewRun>,
    ) -> Answer<Vec<Command>> {
        let mut commands = vec![message];
        if let Some(run) = run {
            let question = self.costs.of_append(scope, &commands).await;
            commands.push(self.run_command(scope, thread, None, None, run.clone(), question)?);
        }
        Ok(commands)
    }

    /// Appends as soon as no run is live on the branch, within a minute however many begin meanwhile. What waits holds its
    /// body, so its bytes are bounded.
    async fn append_when_idle(
        &self,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        message: Command,
        run: Option<&NewRun>,
    ) -> Answer<Written> {
        let branch = if let Command::Append { branch, .. } = &message { branch.clone() } else { None };
        let (mut waits, until) = (None, Instant::now() + PATIENCE);
        loop {
            let commands = self.appended(scope, thread, message.clone(), run).await?;
            let cost = cost_of(&commands);
            match self.write(scope, terms.clone(), commands).await {
                Err(problem) if problem.code == ErrorCode::RunInProgress => {
                    if waits.is_none() {
                        waits = Some(self.patient.enter(scope, cost)?);
                    }
                    until_idle(&*self.store, &self.hub, scope, thread, branch.clone(), until).await?;
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
                id: request.id.unwrap_or_else(ids::message_id),
                role: request.role,
                body: request.body,
            },
            fork: ids::branch_id(),
        })
    }

    /// A start. `question` is how many tokens it may ask about, where that is counted.
    fn run_command(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        branch: Option<BranchId>,
        regenerate: Option<MessageId>,
        run: NewRun,
        question: u64,
    ) -> Answer<Command> {
        self.node.may_begin()?;
        let id = run.id.unwrap_or_else(ids::run_id);
        let message = run.message.unwrap_or_else(ids::message_id);
        let (thread, fork) = (thread.clone(), ids::branch_id());
        let (provider, request, lease, hold) = match run.by {
            // Somebody else pays for it, so it holds nothing.
            WrittenBy::Outside => {
                let lease = outside_lease(&scope.tenant, &id);
                (EXTERNAL.to_owned(), outside::record(&ids::secret()), lease, None)
            }
            WrittenBy::Provider(name) => {
                let provider = self.providers.named(name.as_deref())?;
                let (request, hold) = self.costs.hold(scope, &provider, question)?;
                (provider.name.clone(), request, self.node.lease(), hold)
            }
        };
        Ok(Command::StartRun { thread, branch, regenerate, fork, run: id, message, provider, request, lease, hold })
    }

    /// Edits a message, and answers it anew if asked.
    ///
    /// # Errors
    /// It cannot be edited, or a limit is exceeded.
    pub async fn edit(&self, scope: &Scope, terms: Terms, thread: &ThreadId, request: EditRequest) -> Answer<Written> {
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
            let question = self.costs.of_edit(scope, &commands).await;
            commands.push(self.run_command(scope, thread, None, None, run, question)?);
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
    pub async fn remove(&self, scope: &Scope, terms: Terms, thread: &ThreadId, message: &MessageId) -> Answer<Written> {
        let command = Command::Remove { thread: thread.clone(), message: message.clone() };
        self.write(scope, terms, vec![command]).await
    }

    /// Changes what lists show, or which branch opens.
    ///
    /// # Errors
    /// There is no such thread or branch, or the title is too long.
    pub async fn update(
        &self,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        change: UpdateRequest,
    ) -> Answer<Written> {
        let UpdateRequest { title, archived, default_branch, metadata } = change;
        check_title(title.as_deref().unwrap_or_default(), &self.limits)?;
        let command = Command::UpdateThread { id: thread.clone(), title, archived, default_branch, metadata };
        self.write(scope, terms, vec![command]).await
    }

    /// Deletes a thread: unreadable at once.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn delete(&self, scope: &Scope, terms: Terms, thread: &ThreadId) -> Answer<Written> {
        self.delete_at(scope, terms, thread, None).await
    }

    /// The same, if its log stands where it was seen to.
    pub(crate) async fn delete_at(
        &self,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        at: Option<u64>,
    ) -> Answer<Written> {
        let written = self.write(scope, terms, vec![Command::DeleteThread { id: thread.clone(), at }]).await?;
        self.after.deleted(&(scope.tenant.clone(), thread.clone()));
        Ok(written)
    }

    /// Starts a run.
    ///
    /// # Errors
    /// One is live on the branch, or the provider is unknown.
    pub async fn start_run(
        &self,
        scope: &Scope,
        terms: Terms,
        thread: &ThreadId,
        request: RunRequest,
    ) -> Answer<Written> {
        let RunRequest { branch, regenerate, run } = request;
        let question = self.costs.of_thread(scope, thread, branch.as_ref(), regenerate.as_ref()).await;
        let command = self.run_command(scope, thread, branch, regenerate, run, question)?;
        self.write(scope, terms, vec![command]).await
    }

    /// Windows of a thread that are in the node's memory.
    #[must_use]
    pub fn kept_of(&self, tenant: &TenantId, thread: &ThreadId) -> usize {
        self.reads.kept_of(tenant, thread)
    }

    /// How often a window was in the node's memory.
    #[must_use]
    pub fn kept_windows(&self) -> KeptWindows {
        self.reads.kept_windows()
    }

    /// A window as it is sent, with its streaming messages as far as they are durable, at or past what the reader has
    /// seen.
    ///
    /// # Errors
    /// There is no such thread, branch or message.
    pub async fn window(
        &self,
        scope: &Scope,
        query: WindowQuery,
        seen: Option<&Cursor>,
        format: PageFormat,
    ) -> Answer<EncodedWindow> {
        self.reads.encoded(scope, query, seen, format).await
    }

    /// A window to look into: who is on it and which runs are live there, with its streaming messages as far as they are
    /// durable.
    ///
    /// # Errors
    /// There is no such thread, branch or message.
    pub async fn look(&self, scope: &Scope, query: &WindowQuery) -> Answer<Window> {
        self.reads.window_at(scope, query, None, None).await
    }

    /// A whole message, as far as it is durable, at or past what the reader has seen.
    ///
    /// # Errors
    /// There is no such thread or message.
    pub async fn message(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        id: &MessageId,
        seen: Option<&Cursor>,
    ) -> Answer<Message> {
        self.reads.message(scope, thread, id, seen).await
    }

    /// A thread's title, metadata and default branch.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn thread(&self, scope: &Scope, thread: &ThreadId) -> Answer<Thread> {
        self.store.thread(scope, thread).await.map_err(problem_of)
    }

    /// A page of a user's threads, newest first.
    ///
    /// # Errors
    /// What the store says.
    pub async fn list(&self, scope: &Scope, query: ListQuery) -> Answer<ThreadPage> {
        self.store.threads(scope, query).await.map_err(problem_of)
    }

    /// A page of a user's summary log.
    ///
    /// # Errors
    /// What the store says.
    pub async fn summaries(&self, scope: &Scope, since: u64, limit: u32) -> Answer<SummaryPage> {
        self.store.summaries(scope, since, limit).await.map_err(problem_of)
    }

    /// A thread's branches, in the order of their making.
    ///
    /// # Errors
    /// There is no such thread.
    pub async fn branches(&self, scope: &Scope, thread: &ThreadId, skip: u64, limit: u32) -> Answer<Vec<Branch>> {
        self.store.branches(scope, thread, skip, limit).await.map_err(problem_of)
    }

    /// Bytes of appends that wait for a run to end, for tests.
    #[cfg(test)]
    pub(crate) fn waiting_bytes(&self) -> u64 {
        self.patient.bytes()
    }
}

fn edit_command(thread: &ThreadId, request: &EditRequest, body: Body, rev: Option<u64>) -> Command {
    Command::Edit {
        thread: thread.clone(),
        message: request.message.clone(),
        branch: request.branch.clone(),
        body,
        rev,
        fork: ids::branch_id(),
        copy: request.copy.clone().unwrap_or_else(ids::message_id),
    }
}
