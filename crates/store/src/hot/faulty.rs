//! A decorator that misbehaves, from a seed: for tests of what stands on the hot tier.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;

use super::decorate::decorate;
use super::{
    Cause, Chance, Extended, Hint, HintEvent, HintStream, HotError, HotInfo, HotResult, HotStore, LockAnswer, LockKey,
    Mark, Op, PageKey, Partition, Place, Present, TailAppend, TailKey, TailRead, ThreadKey, hint_channel,
};

/// How often things go wrong, in thousandths of the calls. The default is never.
#[derive(Debug, Clone, Copy, Default)]
pub struct Faults {
    /// A call fails and has had no effect.
    pub fail_before: u16,
    /// A call fails although it took effect.
    pub fail_after: u16,
    /// A call takes [`Faults::slow_by`] longer.
    pub slow: u16,
    /// How much longer.
    pub slow_by: Duration,
    /// A call does not come back before [`Faults::deadline`], and has had no effect.
    pub hang: u16,
    /// When a call that hangs gives up.
    pub deadline: Duration,
    /// A hint is lost, and nobody is told.
    pub drop_hint: u16,
    /// A listener is cut off and, at the next hint, on again; it is told of both.
    pub cut_listener: u16,
}

/// A hot tier that fails now and then.
pub struct Faulty {
    inner: Arc<dyn HotStore>,
    state: Arc<Mutex<(Faults, Chance)>>,
}

impl std::fmt::Debug for Faulty {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Faulty").finish_non_exhaustive()
    }
}

/// What is drawn for a call.
enum Fate {
    Hang(Duration),
    FailBefore,
    Serve { late: Duration, fail_after: bool },
}

fn failed() -> HotError {
    HotError::unavailable("faulty", Cause::Connection, "on purpose")
}

impl Faulty {
    /// Lets the use of `inner` go wrong as `faults` say. The same seed and calls give the same faults.
    #[must_use]
    pub fn new(inner: Arc<dyn HotStore>, faults: Faults, seed: u64) -> Self {
        Self { inner, state: Arc::new(Mutex::new((faults, Chance::new(seed)))) }
    }

    /// From now on, other faults.
    pub fn change(&self, faults: Faults) {
        self.with(|now, _| *now = faults);
    }

    fn with<T>(&self, run: impl FnOnce(&mut Faults, &mut Chance) -> T) -> T {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let (faults, chance) = &mut *state;
        run(faults, chance)
    }

    fn fate(&self) -> Fate {
        self.with(|faults, chance| {
            if chance.happens(faults.hang) {
                return Fate::Hang(faults.deadline);
            }
            if chance.happens(faults.fail_before) {
                return Fate::FailBefore;
            }
            let late = if chance.happens(faults.slow) { faults.slow_by } else { Duration::ZERO };
            Fate::Serve { late, fail_after: chance.happens(faults.fail_after) }
        })
    }

    async fn around<T>(&self, _: Op, call: impl Future<Output = HotResult<T>>) -> HotResult<T> {
        match self.fate() {
            Fate::Hang(after) => {
                tokio::time::sleep(after).await;
                Err(HotError::TimedOut { store: "faulty", after })
            }
            Fate::FailBefore => Err(failed()),
            Fate::Serve { late, fail_after } => {
                if !late.is_zero() {
                    tokio::time::sleep(late).await;
                }
                let answer = call.await;
                if fail_after { Err(failed()) } else { answer }
            }
        }
    }

    fn listen(&self, partitions: Vec<Partition>) -> HintStream {
        let (sender, stream) = hint_channel(partitions.iter().copied(), 4096);
        let mut source = self.inner.subscribe(partitions.clone());
        let state = self.state.clone();
        tokio::spawn(async move {
            loop {
                let event = tokio::select! {
                    event = source.next() => event,
                    () = sender.closed() => None,
                };
                let Some(event) = event else { return };
                match event {
                    HintEvent::Ready(partitions) => sender.ready(&partitions),
                    HintEvent::Lost(partitions) => sender.lost(&partitions),
                    HintEvent::Hint(hint) => {
                        let (dropped, cut) = {
                            let mut state = state.lock().unwrap_or_else(PoisonError::into_inner);
                            let (faults, chance) = &mut *state;
                            (chance.happens(faults.drop_hint), chance.happens(faults.cut_listener))
                        };
                        match (cut, dropped) {
                            (true, _) => sender.missed(&partitions),
                            (false, true) => {}
                            (false, false) => sender.hint(hint),
                        }
                    }
                }
            }
        });
        stream
    }
}

decorate!(Faulty);
