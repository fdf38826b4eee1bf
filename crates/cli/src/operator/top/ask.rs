//! Asking a node: one question at a time, each with a deadline, in a task of its own, so that the screen never waits for it.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use threadmill_client::Method;
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval, timeout};

use super::super::server::{Operator, explained};
use super::tabs::{Tab, series_path};

/// Between two rounds of questions.
const EVERY: Duration = Duration::from_secs(2);
/// The charts move each ten seconds.
const SERIES_EVERY: Duration = Duration::from_secs(10);
/// A node answers within five seconds or says that it cannot.
const DEADLINE: Duration = Duration::from_secs(6);

/// Whom to ask.
#[derive(Clone)]
pub(super) struct Server {
    operator: Operator,
    pub(super) url: String,
}

impl Server {
    pub(super) fn new(url: &str, token: Option<String>) -> anyhow::Result<Self> {
        Ok(Self { operator: Operator::bearing(url, token)?, url: url.into() })
    }

    /// An answer, or in words why there is none.
    pub(super) async fn ask(&self, path: &str) -> Result<Value, String> {
        match timeout(DEADLINE, self.operator.ask(Method::GET, &format!("/{path}"), None, &[])).await {
            Err(_) => Err("it does not answer".into()),
            // What went wrong, with what to do about it.
            Ok(answer) => answer.map_err(|failed| format!("{:#}", explained(failed))),
        }
    }
}

/// What was answered last, by path; `series` under its own name.
#[derive(Debug, Clone, Default)]
pub(super) struct Answers(pub(super) BTreeMap<&'static str, Value>);

impl Answers {
    pub(super) fn of(&self, path: &str) -> &Value {
        self.0.get(path).unwrap_or(&Value::Null)
    }
}

/// One answer, or why there is none.
pub(super) struct Heard {
    pub(super) path: &'static str,
    pub(super) answer: Result<Value, String>,
}

/// What the screen wants to know.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Wanted {
    pub(super) tab: Tab,
    pub(super) is_paused: bool,
}

/// Asks for what is wanted until nobody listens. What is asked goes by turns, so a node that hangs is asked once at a time.
pub(super) async fn keep_asking(server: Server, mut wanted: watch::Receiver<Wanted>, heard: mpsc::Sender<Heard>) {
    let (mut rounds, mut charted) = (interval(EVERY), None::<Instant>);
    loop {
        tokio::select! {
            _ = rounds.tick() => {}
            changed = wanted.changed() => if changed.is_err() { return },
        }
        let Wanted { tab, is_paused } = *wanted.borrow_and_update();
        if is_paused {
            continue;
        }
        let mut paths = vec![(Tab::Now.path(), Tab::Now.path().to_owned())];
        if tab != Tab::Now {
            paths.push((tab.path(), tab.path().to_owned()));
        } else if charted.is_none_or(|at| at.elapsed() >= SERIES_EVERY) {
            charted = Some(Instant::now());
            paths.push(("series", series_path()));
        }
        for (path, question) in paths {
            let answer = server.ask(&question).await;
            let is_silent = answer.is_err();
            if heard.send(Heard { path, answer }).await.is_err() {
                return;
            }
            if is_silent {
                charted = None;
                break;
            }
        }
    }
}
