//! A decorator that stops asking a tier that does not answer, so that its trouble costs nobody a deadline.

mod machine;

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::watch;
use tokio::time::Instant;

use super::decorate::decorate;
use super::{
    Extended, Hint, HintStream, HotError, HotInfo, HotResult, HotStore, LockAnswer, LockKey, Mark, Op, PageKey,
    Partition, Place, Present, TailAppend, TailKey, TailRead, ThreadKey,
};

pub use machine::{BreakerPolicy, BreakerState};
use machine::{Machine, Ticket, Verdict};

/// A hot tier behind a breaker. With the default policy and a deadline of 250 ms it opens within 1 s of a hung
/// server's last answer even when calls come one after the other, and at once when connections are refused.
pub struct Breaker {
    inner: Arc<dyn HotStore>,
    machine: Mutex<Machine>,
    state: watch::Sender<BreakerState>,
}

impl std::fmt::Debug for Breaker {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Breaker").field("state", &*self.state.borrow()).finish_non_exhaustive()
    }
}

/// A call under way. One that is dropped gives its place back.
struct Admitted<'a> {
    breaker: &'a Breaker,
    ticket: Option<Ticket>,
}

impl Admitted<'_> {
    fn settle(&mut self, verdict: Verdict) {
        if let Some(ticket) = self.ticket.take() {
            let mut machine = self.breaker.lock();
            machine.settle(ticket, verdict, Instant::now());
            self.breaker.show(&machine);
        }
    }
}

impl Drop for Admitted<'_> {
    fn drop(&mut self) {
        self.settle(Verdict::Dropped);
    }
}

impl Breaker {
    /// Guards `inner`. `seed` spreads the probes of many nodes.
    #[must_use]
    pub fn new(inner: Arc<dyn HotStore>, policy: BreakerPolicy, seed: u64) -> Self {
        let machine = Machine::new(policy, seed);
        let (state, _) = watch::channel(machine.state());
        Self { inner, machine: Mutex::new(machine), state }
    }

    /// Where the breaker stands now and whenever that changes.
    #[must_use]
    pub fn state(&self) -> watch::Receiver<BreakerState> {
        self.state.subscribe()
    }

    fn lock(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Said while the machine is held, so that changes are seen in their order.
    fn show(&self, machine: &Machine) {
        let now = machine.state();
        self.state.send_if_modified(|shown| std::mem::replace(shown, now) != now);
    }

    fn admit(&self) -> HotResult<Admitted<'_>> {
        let mut machine = self.lock();
        let ticket = machine.admit(Instant::now()).map_err(|retry_after| HotError::Open { retry_after });
        self.show(&machine);
        Ok(Admitted { breaker: self, ticket: Some(ticket?) })
    }

    async fn around<T>(&self, op: Op, call: impl Future<Output = HotResult<T>>) -> HotResult<T> {
        let mut admitted = self.admit()?;
        let began = Instant::now();
        let result = call.await;
        admitted.settle(match &result {
            Err(error) if error.is_outage() => Verdict::Bad,
            // Flushing takes its time by design.
            _ if op == Op::FlushThread => Verdict::Good(Duration::ZERO),
            _ => Verdict::Good(began.elapsed()),
        });
        result
    }

    /// A listener comes back by itself, and says when it is cut off.
    fn listen(&self, partitions: Vec<Partition>) -> HintStream {
        self.inner.subscribe(partitions)
    }
}

decorate!(Breaker);
