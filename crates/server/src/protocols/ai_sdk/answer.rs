//! An answer from its beginning: what its run said so far, then what it says, then how it ended.

use std::collections::VecDeque;

use serde_json::Value;
use threadmill_engine::{Fed, RunFeed};
use threadmill_proto::{Outcome, Problem, RunId, RunInfo, Scope};

use super::words::{Deltas, Dialect, Words, failure};
use crate::app::App;

/// An answer that is read. It is given up by dropping it, which stops nothing.
pub(super) struct Answer {
    app: App,
    scope: Scope,
    run: RunId,
    feed: RunFeed,
    words: Words,
    /// Said and not yet taken.
    ready: VecDeque<Value>,
    over: bool,
}

impl Answer {
    /// Follows a run from its beginning.
    ///
    /// # Errors
    /// There is no such run for the caller.
    pub(super) async fn of(
        app: &App,
        scope: &Scope,
        run: &RunInfo,
        dialect: Dialect,
        deltas: Deltas,
    ) -> Result<Self, Problem> {
        let feed = app.engine.delivery().follow_run(scope.clone(), run.id.clone(), 0).await?;
        Ok(Self {
            app: app.clone(),
            scope: scope.clone(),
            run: run.id.clone(),
            feed,
            words: Words::new(dialect, deltas),
            ready: Words::start(&run.id, &run.message).into(),
            over: false,
        })
    }

    /// The next chunk; none after the last. Whoever gives up waiting gives up the answer: how it ended may be lost by that.
    pub(super) async fn next(&mut self) -> Option<Value> {
        loop {
            if let Some(chunk) = self.ready.pop_front() {
                return Some(chunk);
            }
            if self.over {
                return None;
            }
            match self.feed.next().await {
                Ok(Some(Fed::Chunks { chunks, .. })) => self.ready.extend(self.words.said(chunks)),
                Ok(Some(Fed::End { outcome, error })) => self.end(outcome, error).await,
                Ok(None) => self.over = true,
                Err(problem) => {
                    self.ready.push_back(failure(&problem.detail));
                    self.over = true;
                }
            }
        }
    }

    async fn end(&mut self, outcome: Outcome, error: Option<String>) {
        self.over = true;
        // A run that ended long ago keeps its message and not its chunks.
        match self.app.engine.runs().read(&self.scope, &self.run).await {
            Ok(read) if self.feed.offset() == 0 => self.ready.extend(self.words.whole(&read.body)),
            Ok(read) if self.feed.offset() < read.info.offset => {
                self.ready.push_back(failure("The rest of the answer is stored: load the message again."));
                return;
            }
            Ok(_) => {}
            Err(problem) => {
                self.ready.push_back(failure(&problem.detail));
                return;
            }
        }
        self.ready.extend(self.words.end(&self.run, outcome, error.as_deref()));
    }
}
