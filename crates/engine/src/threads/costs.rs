//! What a run may cost, before it is begun: how many tokens its question has at the most, and the hold that this takes in the
//! budgets. Nothing is read where no budget is configured.
//!
//! The question is the history that the provider will be given, as it stands now, and what is written with the run. The history
//! may grow until the run begins; the driver looks again and refuses what is beyond the hold (`runs`, the room above).

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{Anchor, BranchId, JsonText, Message, MessageId, Scope, ThreadId};
use threadmill_store::{Command, DurableStore, Hold, PageLimits, WindowQuery};

use crate::budgets::Plan;
use crate::budgets::bound::{tokens_of, tokens_of_text};
use crate::budgets::plan::Asked;
use crate::node::ids;
use crate::problem::Answer;
use crate::providers::Named;
use crate::providers::context::ContextPolicy;

/// See the module.
pub(crate) struct Costs {
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) plan: Option<Arc<Plan>>,
    pub(crate) context: ContextPolicy,
}

/// Tokens that a history with its system prompt has at the most.
pub(crate) fn tokens_of_history(context: &ContextPolicy, messages: &[Message]) -> u64 {
    let system = tokens_of_text(context.system.as_deref().unwrap_or_default());
    system + messages.iter().map(|message| tokens_of(&message.parts)).sum::<u64>()
}

impl Costs {
    /// The record of a run and what it holds.
    ///
    /// # Errors
    /// `price_unknown`.
    pub(crate) fn hold(&self, scope: &Scope, provider: &Named, question: u64) -> Answer<(JsonText, Option<Hold>)> {
        let record = self.context.record(&provider.model);
        let (Some(plan), Some(terms)) = (&self.plan, provider.terms) else { return Ok((record, None)) };
        let asked = Asked { scope, provider: &provider.name, model: &provider.model, terms, question, at: ids::now() };
        let (promise, hold) = plan.hold(&asked)?;
        Ok((promise.into_record(&record), Some(hold)))
    }

    /// Tokens of the messages that commands write, on a thread that is new.
    pub(crate) fn of_new(&self, commands: &[Command]) -> u64 {
        tokens_of_history(&self.context, &[]) + written(commands)
    }

    /// Those of an append, with what it follows.
    pub(crate) async fn of_append(&self, scope: &Scope, commands: &[Command]) -> u64 {
        let Some(Command::Append { thread, branch, after, .. }) = commands.first() else { return 0 };
        // What follows the message that it was written after counts too, if it is appended anyway.
        let (anchor, later) = match after {
            Some(after) => (Anchor::Message(after.clone()), self.context.messages),
            None => (Anchor::Tip, 0),
        };
        self.history(scope, thread, branch.as_ref(), anchor, later).await + written(commands)
    }

    /// Those of an edit, with what is before it.
    pub(crate) async fn of_edit(&self, scope: &Scope, commands: &[Command]) -> u64 {
        let Some(Command::Edit { thread, message, branch, .. }) = commands.first() else { return 0 };
        self.history(scope, thread, branch.as_ref(), Anchor::Message(message.clone()), 0).await + written(commands)
    }

    /// Those of a branch as it stands, up to an answer that is to be given anew.
    pub(crate) async fn of_thread(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        branch: Option<&BranchId>,
        regenerate: Option<&MessageId>,
    ) -> u64 {
        let anchor = regenerate.cloned().map_or(Anchor::Tip, Anchor::Message);
        self.history(scope, thread, branch, anchor, 0).await
    }

    /// The most that a history without files has.
    fn most(&self) -> u64 {
        let messages = u64::from(self.context.messages) * tokens_of(&[]);
        tokens_of_history(&self.context, &[]) + messages + self.context.bytes() as u64
    }

    async fn history(
        &self,
        scope: &Scope,
        thread: &ThreadId,
        branch: Option<&BranchId>,
        anchor: Anchor,
        after: u32,
    ) -> u64 {
        if self.plan.is_none() {
            return 0;
        }
        let query = WindowQuery {
            thread: thread.clone(),
            branch: branch.cloned(),
            anchor,
            before: self.context.messages,
            after,
            limits: PageLimits { bytes: self.context.bytes(), preview: usize::MAX },
        };
        match self.store.window(scope, query).await {
            Ok(window) if !window.has_older() => tokens_of_history(&self.context, &window.messages),
            // Where a long history is cut depends on where it is read from: the most that one has is held.
            Ok(window) => tokens_of_history(&self.context, &window.messages).max(self.most()),
            // The write says what is wrong.
            Err(_) => self.most(),
        }
    }
}

/// Tokens of the messages that commands write.
fn written(commands: &[Command]) -> u64 {
    let tokens = |body: &Body| tokens_of(&body.parts);
    let command = |command: &Command| match command {
        Command::Append { message, .. } => tokens(&message.body),
        Command::Edit { body, .. } => tokens(body),
        _ => 0,
    };
    commands.iter().map(command).sum()
}
