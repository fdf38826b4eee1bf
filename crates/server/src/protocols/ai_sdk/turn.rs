//! A turn of a chat as a write on its thread: what is asked decides which.
//!
//! | asked                                            | written                                                |
//! |--------------------------------------------------|--------------------------------------------------------|
//! | a message, and no such thread                    | a thread of the chat's id, the message, a run          |
//! | a message that follows the tip                   | the message and a run                                  |
//! | a message that follows an earlier one            | a fork after that one, once no run is live             |
//! | a message that follows none that is known here   | the message at the tip, and a run                      |
//! | a message in place of one (`messageId`)          | an edit: a fork, and a run; a live run there is stopped|
//! | another answer (`regenerate-message`)            | a run in place of the answer; of none, the run it lacks|
//!
//! A message is written once under its id however often it is sent, and whoever repeats it reads the answer that it got.

use threadmill_engine::{
    AppendRequest, CreateRequest, Edit, EditRequest, NewRun, RunRequest, Terms, WhenBusy, Written, WrittenBy,
};
use threadmill_proto::{
    Anchor, BranchId, ErrorCode, Message, MessageId, Problem, Role, RunInfo, RunStatus, Scope, ThreadId, Window,
};
use threadmill_store::{IfMoved, PageLimits, WindowQuery};

use super::request::{ChatRequest, Name, Trigger};
use crate::app::App;

type Answer<T> = Result<T, Problem>;

/// How often a turn is tried while others move its thread.
const TRIES: usize = 4;

/// What is looked into of a window: who is on it, not what they say.
const OUTLINE: PageLimits = PageLimits { bytes: 1, preview: 64 };

/// One turn that is taken.
pub(super) struct Turn<'a> {
    app: &'a App,
    scope: &'a Scope,
    terms: &'a Terms,
    request: &'a ChatRequest,
}

/// Takes a turn; the run that answers it.
///
/// # Errors
/// What stands in the way, in words for a person.
pub(super) async fn take(app: &App, scope: &Scope, terms: &Terms, request: &ChatRequest) -> Answer<RunInfo> {
    let _place = app.place_to_run(scope, true).map_err(|problem| problem.0)?;
    let turn = Turn { app, scope, terms, request };
    let written = match request.trigger {
        Trigger::Submit => turn.submit().await,
        Trigger::Regenerate => turn.regenerate().await,
    };
    written.map_err(said_politely)?.run.ok_or_else(|| Problem::new(ErrorCode::Internal, "The turn began no answer."))
}

/// The run that is live on the branch that a chat opens on.
///
/// # Errors
/// The store does not answer. No such thread is no error: nothing is live there.
pub(super) async fn live(app: &App, scope: &Scope, thread: &ThreadId) -> Answer<Option<RunInfo>> {
    let query =
        WindowQuery { thread: thread.clone(), branch: None, anchor: Anchor::Tip, before: 1, after: 0, limits: OUTLINE };
    match app.engine.threads().look(scope, &query).await {
        Ok(window) => Ok(window.runs.into_iter().find(|run| run.status != RunStatus::Ended)),
        Err(problem) if problem.code == ErrorCode::ThreadNotFound => Ok(None),
        Err(problem) => Err(problem),
    }
}

/// `useChat` shows what a refusal says, so it says it to a person.
fn said_politely(problem: Problem) -> Problem {
    let (code, detail) = match problem.code {
        ErrorCode::RunInProgress => {
            (problem.code, "An answer is still being written in this chat. Stop it, or wait for its end.")
        }
        // No key was sent: it was made of the id.
        ErrorCode::IdTaken | ErrorCode::KeyReused => {
            (ErrorCode::IdTaken, "This id was used for something else before. Send it under a new one.")
        }
        ErrorCode::ThreadDeleted => (problem.code, "This chat was deleted. Begin a new one."),
        _ => return problem,
    };
    Problem { code, detail: detail.into(), hint: None, ..problem }
}

impl Turn<'_> {
    async fn submit(&self) -> Answer<Written> {
        let said = &self.request.said;
        if said.role != Role::User {
            let detail = "The last message must be the user's: results of tools come from the server.";
            return Err(Problem::new(ErrorCode::InvalidRequest, detail));
        }
        if self.request.message.as_ref() == Some(&said.name.id) {
            match self.edit().await {
                Err(Problem { code: ErrorCode::MessageNotFound | ErrorCode::ThreadNotFound, .. }) => {}
                done => return done,
            }
        }
        for _ in 0..TRIES {
            match self.append().await {
                Err(problem) if problem.code == ErrorCode::ThreadNotFound => {}
                done => return done,
            }
            match self.create().await {
                // Another tab has made it meanwhile, or it is somebody else's.
                Err(problem) if problem.code == ErrorCode::IdTaken => {
                    self.app.engine.threads().thread(self.scope, &self.request.thread).await.map_err(|_| problem)?;
                }
                done => return done,
            }
        }
        Err(Problem::new(ErrorCode::Unavailable, "The chat changes too fast; try again."))
    }

    /// The message in the place of the one whose id it has.
    async fn edit(&self) -> Answer<Written> {
        let ChatRequest { thread, said, .. } = self.request;
        let copy = said.name.edited.clone().unwrap_or_else(|| said.name.id.clone());
        let terms = self.request.terms(self.terms, "e", &copy);
        let edit = EditRequest {
            message: said.name.id.clone(),
            edit: Edit::Whole(said.body.clone()),
            rev: None,
            branch: None,
            copy: Some(copy),
            run: Some(self.run()),
        };
        self.app.engine.threads().edit(self.scope, terms, thread, edit).await
    }

    /// The message after the one that it follows.
    async fn append(&self) -> Answer<Written> {
        let known: Vec<_> = self.request.before.iter().flat_map(Name::ids).cloned().map(Some).collect();
        for after in known.into_iter().chain([None]) {
            let written = self.append_after(after.clone(), None, IfMoved::Refuse).await;
            match (written.map_err(|problem| (problem.code, problem)), after) {
                (Err((ErrorCode::MessageNotFound, _)), Some(_)) => {}
                (Err((ErrorCode::TipMoved, _)), Some(after)) => {
                    // A fork needs no other line to be idle, but who reads one answer shall not be moved to another.
                    if live(self.app, self.scope, &self.request.thread).await?.is_some() {
                        return Err(Problem::new(ErrorCode::RunInProgress, ""));
                    }
                    return self.append_after(Some(after), None, IfMoved::Fork).await;
                }
                (Err((ErrorCode::NotOnBranch, _)), Some(after)) => {
                    let branch = self.message(&after).await?.map(|message| message.branch);
                    return self.append_after(Some(after), branch, IfMoved::Fork).await;
                }
                (written, _) => return written.map_err(|(_, problem)| problem),
            }
        }
        Err(Problem::new(ErrorCode::MessageNotFound, "The message follows none of this chat."))
    }

    async fn append_after(
        &self,
        after: Option<MessageId>,
        branch: Option<BranchId>,
        if_moved: IfMoved,
    ) -> Answer<Written> {
        let (terms, message) = self.message_to_write(after, branch, if_moved);
        let (thread, run) = (&self.request.thread, Some(self.run()));
        self.app.engine.threads().append(self.scope, terms, thread, message, run).await
    }

    async fn create(&self) -> Answer<Written> {
        let (terms, message) = self.message_to_write(None, None, IfMoved::Append);
        let request = CreateRequest {
            id: Some(self.request.thread.clone()),
            message: Some(message),
            run: Some(self.run()),
            ..CreateRequest::default()
        };
        self.app.engine.threads().create(self.scope, terms, request).await
    }

    fn message_to_write(
        &self,
        after: Option<MessageId>,
        branch: Option<BranchId>,
        if_moved: IfMoved,
    ) -> (Terms, AppendRequest) {
        let said = &self.request.said;
        let message = AppendRequest {
            id: Some(said.name.id.clone()),
            role: said.role,
            body: said.body.clone(),
            branch,
            after,
            if_moved,
            when_busy: WhenBusy::Refuse,
        };
        (self.request.terms(self.terms, "m", &said.name.id), message)
    }

    /// Another answer: to the one that is named, else to the last message.
    async fn regenerate(&self) -> Answer<Written> {
        let mut question = None;
        if let Some(id) = &self.request.message {
            match self.message(id).await? {
                Some(message) if message.role == Role::Assistant => {
                    return self.answer_anew(Some(message.id), None).await;
                }
                Some(message) if *id != self.request.said.name.id => question = Some(message.id),
                Some(_) | None => {}
            }
        }
        for id in self.request.said.name.ids() {
            if question.is_none() && self.message(id).await?.is_some() {
                question = Some(id.clone());
            }
        }
        // A question that never arrived is asked now.
        let Some(question) = question else { return self.submit().await };
        let window = self.from(&question).await?;
        let depth =
            window.messages.iter().find(|message| message.id == question).map_or(window.to, |message| message.depth);
        match window.messages.iter().find(|message| message.depth > depth) {
            Some(next) if next.role == Role::Assistant => self.answer_anew(Some(next.id.clone()), None).await,
            Some(_) => {
                let detail = "This message has no answer, and others follow it. Edit it to ask it again.";
                Err(Problem::new(ErrorCode::InvalidRequest, detail))
            }
            None => self.answer_anew(None, Some(window.branch)).await,
        }
    }

    async fn answer_anew(&self, regenerate: Option<MessageId>, branch: Option<BranchId>) -> Answer<Written> {
        // It would be on a branch of its own, and who reads one answer shall not be moved to another.
        if live(self.app, self.scope, &self.request.thread).await?.is_some() {
            return Err(Problem::new(ErrorCode::RunInProgress, ""));
        }
        let terms = Terms { key: None, under: self.terms.under.clone(), parent: self.terms.parent };
        let request = RunRequest { branch, regenerate, run: self.run() };
        self.app.engine.threads().start_run(self.scope, terms, &self.request.thread, request).await
    }

    fn run(&self) -> NewRun {
        NewRun { by: WrittenBy::Provider(self.request.provider.clone()), ..NewRun::default() }
    }

    /// A message of the chat, if there is one.
    async fn message(&self, id: &MessageId) -> Answer<Option<Message>> {
        match self.app.engine.threads().message(self.scope, &self.request.thread, id, None).await {
            Ok(message) => Ok(Some(message)),
            Err(Problem { code: ErrorCode::MessageNotFound | ErrorCode::ThreadNotFound, .. }) => Ok(None),
            Err(problem) => Err(problem),
        }
    }

    /// A message and the one after it.
    async fn from(&self, question: &MessageId) -> Answer<Window> {
        let query = WindowQuery {
            thread: self.request.thread.clone(),
            branch: None,
            anchor: Anchor::Message(question.clone()),
            before: 0,
            after: 2,
            limits: PageLimits { bytes: 4 << 10, preview: 64 },
        };
        self.app.engine.threads().look(self.scope, &query).await
    }
}
