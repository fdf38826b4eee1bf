//! Tasks that live as long as the node: reading what others wrote, renewing leases, listening. One that panics is begun
//! again after a pause, counted and logged; none ends unseen. One that panics again and again makes the node not ready.
//! What is done for one thread or one reader is counted and logged the same way, and never makes the node not ready: what
//! is in a thread must not take a node away.

use std::any::Any;
use std::collections::BTreeMap;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::task::AbortHandle;
use tokio::time::{Instant, sleep};

use crate::sync::lock;

/// The pause before a task is begun again; it doubles up to [`LONGEST`].
const PAUSE: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// A task that has run for so long counts as healthy.
const STEADY: Duration = Duration::from_secs(20);
/// Panics in a row after which a task counts as broken.
const BROKEN: u32 = 4;

#[derive(Debug, Clone, Copy, Default)]
struct Health {
    /// It lasts as long as the node. Others are begun for each thing to read or to open, and say nothing of the node.
    lasts: bool,
    panics: u64,
    in_a_row: u32,
    /// When it was begun the last time, if it runs.
    begun: Option<Instant>,
}

impl Health {
    fn is_broken(&self) -> bool {
        self.lasts && self.in_a_row >= BROKEN && self.begun.is_none_or(|begun| begun.elapsed() < STEADY)
    }
}

/// The tasks of a node, by name.
#[derive(Debug, Default)]
pub(crate) struct Tasks(Mutex<BTreeMap<&'static str, Health>>);

impl Tasks {
    /// Runs a task until it ends by itself or is aborted, beginning it again after every panic.
    pub(crate) fn run<T: Future<Output = ()> + Send + 'static>(
        self: &Arc<Self>,
        name: &'static str,
        begin: impl Fn() -> T + Send + Sync + 'static,
    ) -> AbortHandle {
        let tasks = Arc::clone(self);
        tokio::spawn(async move { tasks.again(name, begin).await }).abort_handle()
    }

    /// The same, in the caller's own task.
    pub(crate) async fn again<T: Future<Output = ()>>(&self, name: &'static str, begin: impl Fn() -> T) {
        let mut pause = PAUSE;
        lock(&self.0).entry(name).or_default().lasts = true;
        loop {
            let begun = Instant::now();
            if self.once(name, begin()).await {
                return;
            }
            pause = if begun.elapsed() >= STEADY { PAUSE } else { (pause * 2).min(LONGEST) };
            sleep(pause).await;
        }
    }

    /// Runs something once, for one thread or reader. False if it panicked.
    pub(crate) async fn once(&self, name: &'static str, task: impl Future<Output = ()>) -> bool {
        self.begins(name);
        // What a panic leaves behind is whole: locks are taken over, and whoever begins again reads anew.
        match AssertUnwindSafe(task).catch_unwind().await {
            Ok(()) => true,
            Err(panic) => {
                self.panicked(name, panic.as_ref());
                false
            }
        }
    }

    /// Counts and logs a panic that was caught in what nobody awaits.
    pub(crate) fn caught(&self, name: &'static str, panic: &(dyn Any + Send)) {
        self.panicked(name, panic);
    }

    fn begins(&self, name: &'static str) {
        lock(&self.0).entry(name).or_default().begun = Some(Instant::now());
    }

    fn panicked(&self, name: &'static str, panic: &(dyn Any + Send)) {
        let mut all = lock(&self.0);
        let health = all.entry(name).or_default();
        let steady = health.begun.is_some_and(|begun| begun.elapsed() >= STEADY);
        health.panics += 1;
        health.in_a_row = if steady { 1 } else { health.in_a_row.saturating_add(1) };
        health.begun = None;
        let (panics, why) = (health.panics, message(panic));
        drop(all);
        tracing::error!(task = name, panics, why, "a task of the node panicked");
    }

    /// How often each has panicked.
    pub(crate) fn panics(&self) -> Vec<(&'static str, u64)> {
        lock(&self.0).iter().map(|(name, health)| (*name, health.panics)).collect()
    }

    /// One that does not get beyond its panics, if there is one.
    pub(crate) fn broken(&self) -> Option<&'static str> {
        lock(&self.0).iter().find(|(_, health)| health.is_broken()).map(|(name, _)| *name)
    }
}

fn message(panic: &(dyn Any + Send)) -> &str {
    let text = panic.downcast_ref::<&'static str>().copied();
    text.or_else(|| panic.downcast_ref::<String>().map(String::as_str)).unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    /// A task that panics so often before it goes on.
    fn fragile(tasks: &Arc<Tasks>, panics: u32) -> Arc<AtomicU32> {
        let begun = Arc::new(AtomicU32::new(0));
        let seen = Arc::clone(&begun);
        tasks.run("fragile", move || {
            let nth = seen.fetch_add(1, Ordering::Relaxed);
            async move {
                assert!(nth >= panics, "planted");
                std::future::pending::<()>().await;
            }
        });
        begun
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_is_begun_again_and_counted() {
        let tasks = Arc::<Tasks>::default();
        let begun = fragile(&tasks, 2);
        sleep(Duration::from_secs(2)).await;
        assert_eq!((begun.load(Ordering::Relaxed), tasks.panics(), tasks.broken()), (3, vec![("fragile", 2)], None));
    }

    #[tokio::test(start_paused = true)]
    async fn what_panics_once_for_each_of_many_is_counted_and_breaks_no_node() {
        let tasks = Tasks::default();
        for _ in 0..BROKEN {
            assert!(!tasks.once("reading", async { panic!("planted") }).await);
        }
        assert!(tasks.once("reading", async {}).await);
        assert_eq!((tasks.broken(), tasks.panics()), (None, vec![("reading", u64::from(BROKEN))]));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_always_panics_is_said_to_be_broken_until_it_runs() {
        let tasks = Arc::<Tasks>::default();
        let begun = fragile(&tasks, 6);
        sleep(Duration::from_secs(5)).await;
        assert_eq!(tasks.broken(), Some("fragile"));
        sleep(Duration::from_secs(20)).await;
        assert_eq!(begun.load(Ordering::Relaxed), 7, "the pause grows");
        sleep(STEADY).await;
        assert_eq!(tasks.broken(), None);
    }
}
