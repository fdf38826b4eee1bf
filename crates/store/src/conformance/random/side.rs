//! A store that answers requests in words that can be compared.

use std::fmt::Debug;
use std::sync::{Arc, Mutex};

use crate::conformance::kit::{body, key, lease};
use crate::{
    Applied, ChunkAppend, Command, CommitSink, Committed, Committing, DurableStore, PageLimits, SpendingQuery,
    StoreError, StoreResult, Transaction,
};
use threadmill_proto::{Chunk, Position, Scope, ThreadId};

use super::request::Request;

/// One of the two stores, and what it has answered that later requests refer to.
pub(super) struct Side {
    pub(super) store: Arc<dyn DurableStore>,
    heard: Arc<Heard>,
    positions: Vec<Position>,
    /// The store's epoch, once it has answered: where tokens of runs begin that are not their first.
    epoch: u64,
    pub(super) last: Option<Committed>,
}

#[derive(Default)]
struct Heard(Mutex<Vec<Committing>>);

impl CommitSink for Heard {
    fn committed(&self, batch: Vec<Committing>) {
        self.0.lock().expect("no panic").extend(batch);
    }
}

fn show<T: Debug>(result: StoreResult<T>) -> String {
    match result {
        Ok(value) => blank(&format!("{value:?}")),
        // The words are for people, and each store has its own.
        Err(StoreError::Invalid(_)) => "Invalid".into(),
        Err(error) => format!("{error:?}"),
    }
}

/// Leaves out what follows from a store's secrets, and from when it was opened: during a walk it is not opened anew.
fn blank(text: &str) -> String {
    let mut out = String::new();
    let timeless = without_epochs(text);
    let mut rest = timeless.as_str();
    while let Some((before, after)) = ["ChainHash([", "Commitment(["]
        .iter()
        .filter_map(|word| rest.split_once(word))
        .min_by_key(|(before, _)| before.len())
    {
        out.push_str(before);
        out.push_str("secret ");
        rest = after.split_once("])").map_or("", |(_, rest)| rest);
    }
    out + rest
}

fn without_epochs(text: &str) -> String {
    let mut pieces = text.split("epoch: ");
    let mut out = pieces.next().unwrap_or_default().to_owned();
    for piece in pieces {
        let rest = piece.trim_start_matches(|c: char| c.is_ascii_digit());
        let none = piece.strip_suffix(rest) == Some("0");
        out.push_str(if none { "no epoch" } else { "epoch" });
        out.push_str(rest);
    }
    out
}

impl Side {
    pub(super) fn new(store: Arc<dyn DurableStore>) -> Self {
        let heard = Arc::new(Heard::default());
        store.attach(heard.clone());
        Self { store, heard, positions: vec![Position { epoch: 1, ..Position::default() }], epoch: 1, last: None }
    }

    /// The store's own token for the nth of a run.
    fn fence(&self, nth: u64) -> u64 {
        self.epoch + nth
    }

    /// A token's number among its run's.
    fn nth(&self, fence: u64) -> u64 {
        fence.saturating_sub(self.epoch)
    }

    pub(super) async fn answer(&mut self, request: &Request) -> String {
        let store = self.store.clone();
        match request.clone() {
            Request::Apply { who, at, key: named, mut commands } => {
                for command in &mut commands {
                    if let Command::EndRun { fence, .. } = command {
                        *fence = self.fence(*fence);
                    }
                }
                let transaction = Transaction {
                    scope: who,
                    at,
                    key: named.map(|(name, request)| key(&name, request)),
                    under: None,
                    commands,
                };
                let answer = store.apply(transaction).await;
                self.last = answer.as_ref().ok().cloned();
                self.positions.extend(self.last.as_ref().map(|ok| ok.position));
                self.epoch = self.epoch.max(self.positions.last().map_or(0, |position| position.epoch));
                show(answer.map(|committed| self.with_nth_fences(committed)))
            }
            Request::Chunks { who, run, fence, from, texts, checkpoint } => {
                let end = store.run(&who, &run).await.map_or(0, |run| run.info.offset);
                let append = ChunkAppend {
                    scope: who,
                    run,
                    fence: self.fence(fence),
                    under: None,
                    from: from.unwrap_or(end),
                    chunks: texts.iter().map(|text| chunk(text)).collect(),
                    checkpoint: checkpoint.then(|| body(&texts.concat())),
                };
                show(store.append_chunks(append).await)
            }
            Request::Claim { nth, now } => {
                let mut runs = store.unended_runs().await.expect("reads");
                runs.sort_by_key(|run| format!("{run:?}"));
                let claim = match runs.get(nth) {
                    Some(run) => store.claim_run(run, lease("n2", 1_550), now).await,
                    None => Ok(None),
                };
                format!("{runs:?} {}", show(claim.map(|fence| fence.map(|fence| self.nth(fence)))))
            }
            Request::Window(who, query) => show(store.window(&who, query).await),
            Request::Changes { who, thread, nth, spoil } => {
                let mut after = self.positions[nth % self.positions.len()];
                match spoil {
                    None => {}
                    Some(0) => after.seq += 1,
                    Some(1) => after.epoch = u64::MAX,
                    Some(_) => after.hash.0[0] ^= 1,
                }
                let limits = PageLimits::DEFAULT;
                show(store.changes(&who, &thread, after, limits).await)
            }
            Request::Lists(who, query, since) => {
                let limit = query.limit;
                let page = show(store.threads(&who, query).await);
                let budgets = SpendingQuery { prefix: "budget".into(), open_at: 0, after: None, limit: 9 };
                let budgets = show(store.spending(budgets).await);
                page + &budgets + &show(store.summaries(&who, since, limit).await)
            }
            Request::Run(who, run, from) => {
                let read = show(store.run(&who, &run).await);
                read + &show(store.stream(&who, &run, from, 6).await)
            }
            Request::Export(who, thread, bytes) => export(&*store, &who, &thread, bytes).await,
        }
    }

    fn with_nth_fences(&self, mut committed: Committed) -> Committed {
        for applied in &mut committed.applied {
            match applied {
                Applied::Started { fence, .. } => *fence = self.nth(*fence),
                Applied::Stopping(run) | Applied::Message { stopping: Some(run), .. } => {
                    run.fence = self.nth(run.fence);
                }
                Applied::Message { stopping: None, .. }
                | Applied::Thread(_)
                | Applied::AlreadyOver(_)
                | Applied::Ended { .. }
                | Applied::Deleted => {}
            }
        }
        committed
    }

    /// What the sink heard since the last time.
    pub(super) fn heard(&self) -> String {
        let heard = std::mem::take(&mut *self.heard.0.lock().expect("no panic"));
        blank(&format!("{heard:?}"))
    }
}

fn chunk(text: &str) -> Chunk {
    match text {
        "" => Chunk::TextStart { id: "0".into() },
        text => Chunk::TextDelta { id: "0".into(), delta: text.into() },
    }
}

/// Every row, however the pages fell. Places are each store's own.
async fn export(store: &dyn DurableStore, who: &Scope, thread: &ThreadId, bytes: usize) -> String {
    let (mut from, mut all) = (0, String::new());
    loop {
        match store.export(who, thread, from, bytes).await {
            Err(error) => return format!("{error:?}"),
            Ok(page) => {
                all += &format!("{:?}{:?}", page.thread, page.rows);
                match page.next {
                    Some(next) => from = next,
                    None => return all,
                }
            }
        }
    }
}
