//! The outbox on the host's side: what the writes say, where they are kept, and who waits for them. The engine decides
//! what is sent when.
//!
//! What is kept of a write is always what is held of it at the moment of writing, so it does not matter in which order
//! the tasks that store come to it.

mod entry;
mod files;

pub use entry::{Item, Refusal, Sent, State, Written};

use std::collections::BTreeMap;
use std::io::{Error as IoError, ErrorKind};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use threadmill_core::engine::{Follows, Input};
use threadmill_core::outbox::{Answer as Verdict, Stage};
use threadmill_proto::{RunId, ThreadId};
use tokio::runtime::Handle;
use tokio::sync::oneshot;

use crate::error::Error;
use crate::http::Http;
use crate::shared::Shared;
use crate::view::Views;
use crate::writes::{Answer, Write, WriteKind};
use entry::Entry;
use files::Directory;

/// A write that is held.
#[derive(Debug)]
struct Held {
    entry: Entry,
    /// The engine has it.
    fed: bool,
    sending: bool,
    /// It is taken or given up, and about to be forgotten.
    over: bool,
    /// What went wrong at the last try.
    error: Option<Error>,
    waiting: Option<oneshot::Sender<Result<Answer, Error>>>,
}

impl Held {
    fn new(entry: Entry) -> Self {
        Self { entry, fed: false, sending: false, over: false, error: None, waiting: None }
    }

    fn tell(&mut self, outcome: Result<Answer, Error>) {
        if let Some(waiting) = self.waiting.take() {
            // Nobody has to wait.
            let _ = waiting.send(outcome);
        }
    }

    fn handle(&mut self) -> Written {
        let (sender, outcome) = oneshot::channel();
        self.waiting = Some(sender);
        Written::new(&self.entry.write, outcome)
    }
}

/// See the module. Writes are numbered in the order of their making.
#[derive(Debug)]
pub(crate) struct Outbox {
    directory: Option<Directory>,
    runtime: Handle,
    held: Mutex<BTreeMap<u32, Held>>,
}

impl Outbox {
    /// The outbox of a directory, with what is kept in it, or one in memory.
    pub(crate) fn open(path: Option<PathBuf>) -> Result<Self, Error> {
        let directory = path.map(Directory::open).transpose().map_err(Error::Outbox)?;
        let mut held = BTreeMap::new();
        if let Some(directory) = &directory {
            for (key, value) in directory.read().map_err(Error::Outbox)? {
                let unreadable = || IoError::new(ErrorKind::InvalidData, format!("{key} is of another version"));
                let entry = Entry::from_value(&key, &value).ok_or_else(|| Error::Outbox(unreadable()))?;
                held.insert(entry.number, Held::new(entry));
            }
        }
        Ok(Self { directory, runtime: Handle::current(), held: Mutex::new(held) })
    }

    /// Gives the engine what was kept.
    pub(crate) fn begin(&self, shared: &Shared) {
        let held = self.held();
        let waiting = held.iter().filter(|(_, held)| held.entry.refusal.is_none());
        let numbers: Vec<u32> = waiting.map(|(number, _)| *number).collect();
        drop(held);
        for number in &numbers {
            let last = numbers.last() == Some(number);
            self.feed(shared, *number, if last { Follows::Nothing } else { Follows::Another });
        }
    }

    /// Takes a write in: it is kept when this returns.
    pub(crate) async fn add(self: Arc<Self>, shared: Arc<Shared>, write: Write) -> Result<Written, Error> {
        let key = write.key.clone();
        let (number, handle) = {
            let mut all = self.held();
            let number = all.last_key_value().map_or(1, |(last, _)| last + 1);
            let mut held = Held::new(Entry { write, number, tried: false, refusal: None });
            let handle = held.handle();
            all.insert(number, held);
            (number, handle)
        };
        if self.directory.is_some() {
            // In a task of its own: a caller that stops waiting does not leave it half done.
            let outbox = Arc::clone(&self);
            let kept = self.runtime.spawn_blocking(move || {
                let kept = outbox.store(&key, number);
                match &kept {
                    Ok(()) => outbox.feed(&shared, number, Follows::Nothing),
                    Err(_) => drop(outbox.held().remove(&number)),
                }
                kept
            });
            kept.await.map_err(|_| Error::Closed)?.map_err(Error::Outbox)?;
        } else {
            self.feed(&shared, number, Follows::Nothing);
        }
        Ok(handle)
    }

    /// The writes in the order of their making.
    pub(crate) fn items(&self) -> Vec<Item> {
        self.held().values().map(|held| held.entry.item(held.sending)).collect()
    }

    /// The thread of a write that starts a run.
    pub(crate) fn thread_of(&self, run: &RunId) -> Option<ThreadId> {
        let all = self.held();
        let write = all.values().map(|held| &held.entry.write).find(|write| write.run.as_ref() == Some(run))?;
        Some(write.thread.clone())
    }

    /// Tries a write again: at once if it waits; one that was refused goes behind all the others, here and for the next
    /// client, so it gets a number of its own.
    pub(crate) fn retry(self: &Arc<Self>, shared: &Shared, key: &str) -> Option<Written> {
        let number = self.number_of(key)?;
        let mut all = self.held();
        let mut held = all.remove(&number)?;
        let waits = held.waiting.as_ref().is_some_and(|waiting| !waiting.is_closed());
        let handle = (!waits).then(|| held.handle());
        if held.entry.refusal.take().is_none() {
            all.insert(number, held);
            drop(all);
            shared.input(Input::Retry(number));
            return handle;
        }
        let last = all.last_key_value().map_or(number, |(last, _)| number.max(*last)) + 1;
        held.entry.number = last;
        all.insert(last, held);
        drop(all);
        self.store_later(key, last);
        shared.input(Input::Discard(number));
        self.feed(shared, last, Follows::Nothing);
        handle
    }

    /// Gives a write up, unless it is on its way.
    pub(crate) fn discard(self: &Arc<Self>, shared: &Arc<Shared>, key: &str) {
        let Some(number) = self.number_of(key) else { return };
        let fed = self.held().get(&number).is_some_and(|held| held.fed);
        if fed {
            shared.input(Input::Discard(number));
        } else {
            self.settle(shared, number, Err(Error::Discarded));
        }
    }

    /// The engine says that a write is to be sent.
    pub(crate) async fn perform(self: Arc<Self>, number: u32, shared: Weak<Shared>, http: Http, views: Arc<Views>) {
        let write = self.held().get(&number).map(|held| held.entry.write.clone());
        let Some(write) = write else { return };
        let (outbox, key) = (Arc::clone(&self), write.key.clone());
        // Whoever reads this later has to know that it may have arrived, so that is kept before it leaves.
        let marked = self.runtime.spawn_blocking(move || outbox.store(&key, number)).await;
        let tried = match marked {
            Ok(Ok(())) => http.perform(&write).await,
            Ok(Err(error)) => Err(Error::Outbox(error)),
            Err(_) => return,
        };
        let Some(shared) = shared.upgrade() else { return };
        let verdict = match tried {
            Ok(answer) => {
                if write.kind == WriteKind::Create {
                    views.made(&shared, &write.thread);
                }
                self.settle(&shared, number, Ok(Answer::of(&answer)));
                Verdict::Done
            }
            Err(error) => {
                let verdict = verdict(&error);
                self.moved(number, |held| held.error = Some(error));
                verdict
            }
        };
        shared.input(Input::Written(number, verdict));
    }

    /// The engine says where a write is.
    pub(crate) fn writing(self: &Arc<Self>, shared: &Arc<Shared>, number: u32, stage: Stage) {
        match stage {
            Stage::Done => self.settle(shared, number, Ok(Answer::default())),
            Stage::Dropped => self.settle(shared, number, Err(Error::Discarded)),
            Stage::Waiting => self.moved(number, |held| held.sending = false),
            Stage::Sending => self.moved(number, |held| (held.sending, held.entry.tried) = (true, true)),
            Stage::Failed => self.fail(number),
        }
    }

    /// Nothing is sent or stored any more, and whoever waits is told.
    pub(crate) fn close(&self) {
        if let Some(directory) = &self.directory {
            directory.close();
        }
        self.held().clear();
    }

    fn moved(&self, number: u32, act: impl FnOnce(&mut Held)) {
        if let Some(held) = self.held().get_mut(&number) {
            act(held);
        }
    }

    /// Refused: it stays, to be tried again or given up; whoever waits is told now.
    fn fail(self: &Arc<Self>, number: u32) {
        let key = {
            let mut all = self.held();
            let Some(held) = all.get_mut(&number) else { return };
            let error = held.error.take().unwrap_or(Error::Closed);
            held.sending = false;
            held.entry.refusal = Some(Refusal::of(&error));
            held.tell(Err(error));
            held.entry.write.key.clone()
        };
        self.store_later(&key, number);
    }

    /// A write is over: nothing is kept of it when it is forgotten and whoever waits is told.
    fn settle(self: &Arc<Self>, shared: &Arc<Shared>, number: u32, outcome: Result<Answer, Error>) {
        let key = {
            let mut all = self.held();
            let Some(held) = all.get_mut(&number).filter(|held| !held.over) else { return };
            held.over = true;
            held.entry.write.key.clone()
        };
        if self.directory.is_none() {
            self.forget(number, outcome);
            return;
        }
        let (outbox, shared) = (Arc::clone(self), Arc::clone(shared));
        self.runtime.spawn_blocking(move || {
            // A file that cannot be removed is sent again by the next client and has no second effect.
            let _ = outbox.store(&key, number);
            outbox.forget(number, outcome);
            shared.touch();
        });
    }

    fn forget(&self, number: u32, outcome: Result<Answer, Error>) {
        let held = self.held().remove(&number);
        if let Some(mut held) = held {
            held.tell(outcome);
        }
    }

    fn number_of(&self, key: &str) -> Option<u32> {
        self.held().iter().find(|(_, held)| held.entry.write.key == key).map(|(number, _)| *number)
    }

    /// Gives the engine a write, unless it was refused.
    fn feed(&self, shared: &Shared, number: u32, follows: Follows) {
        let write = {
            let mut all = self.held();
            let Some(held) = all.get_mut(&number).filter(|held| held.entry.refusal.is_none()) else { return };
            held.fed = true;
            let Entry { write, tried, .. } = &held.entry;
            let (thread, purpose) = (write.thread.clone(), write.purpose());
            Input::Write { number, thread, purpose, tried: *tried, follows }
        };
        shared.input(write);
    }

    /// Brings what is kept of a write in line with what is held.
    fn store(&self, key: &str, number: u32) -> Result<(), IoError> {
        let Some(directory) = &self.directory else { return Ok(()) };
        directory.store(key, || {
            let all = self.held();
            let held = all.get(&number).filter(|held| !held.over)?;
            Some(held.entry.to_value())
        })
    }

    /// The same, without waiting. If it fails, the next client tries what this one was refused.
    fn store_later(self: &Arc<Self>, key: &str, number: u32) {
        if self.directory.is_some() {
            let (outbox, key) = (Arc::clone(self), key.to_owned());
            self.runtime.spawn_blocking(move || outbox.store(&key, number));
        }
    }

    fn held(&self) -> MutexGuard<'_, BTreeMap<u32, Held>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What a failed try means for the write.
fn verdict(error: &Error) -> Verdict {
    let after = match error {
        Error::Problem(problem) => problem.retry_after.map(u64::from),
        _ => None,
    };
    Verdict::of(error.status(), error.code().unwrap_or_default(), after)
}
