//! The frame of every fault: load, the fault, what came of it measured, and the checker's verdict.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_mock_provider::text::Random;
use tokio::sync::watch;
use tokio::task::JoinHandle;

use super::checker::{AGREED, Violation, check};
use super::history::{self, Act, End, Entry, Mark};
use super::load::Client;
use super::measure::{Measured, measure};
use super::recorder::Recorder;
use super::watcher::{Habit, Progress, Watcher};
use super::world::{Size, World, is_full};

/// What is waited for comes within this, or not at all.
const PATIENCE: Duration = Duration::from_secs(120);
/// How many violations of a kind are told of.
const FEW: usize = 5;
/// Between two looks.
const LOOK: Duration = Duration::from_millis(50);
/// A fault lasts at least this long: more than it may take to be noticed.
const LASTS: Duration = Duration::from_millis(2500);
/// What is waited for besides takes at least this long.
const SOME: Duration = Duration::from_millis(500);

/// Everybody who writes and watches.
pub(super) struct Load {
    recorder: Arc<Recorder>,
    size: Size,
    progress: Arc<Progress>,
    written: watch::Sender<bool>,
    watched: watch::Sender<bool>,
    writers: Vec<JoinHandle<()>>,
    watchers: Vec<JoinHandle<()>>,
}

impl Load {
    fn start(world: &World) -> Self {
        let mut load = Self {
            recorder: Arc::clone(&world.recorder),
            size: world.size,
            progress: Arc::default(),
            written: watch::Sender::new(false),
            watched: watch::Sender::new(false),
            writers: Vec::new(),
            watchers: Vec::new(),
        };
        for number in 0..world.size.watchers {
            let threads = [&world.talks[number % world.talks.len()], &world.streams[number % world.streams.len()]];
            let habit = if number % 3 == 2 { Habit::Wanders } else { Habit::Stays };
            let watcher = Watcher {
                number,
                apis: world.apis(),
                recorder: Arc::clone(&world.recorder),
                threads: threads.map(Clone::clone),
                habit,
                progress: Arc::clone(&load.progress),
                over: load.watched.subscribe(),
            };
            load.watchers.push(tokio::spawn(watcher.watch()));
        }
        let client = |thread: &super::world::Thread, name: String, seed: usize| Client {
            apis: world.apis(),
            recorder: Arc::clone(&world.recorder),
            thread: thread.clone(),
            name,
            random: Random::new(seed as u64, "load"),
            pace: world.size.pace,
            patience: world.size.patience,
            stops: world.size.stops,
            over: load.written.subscribe(),
        };
        for number in 0..world.size.writers {
            let writer = client(&world.talks[number / 2], format!("w{number}"), number);
            load.writers.push(tokio::spawn(writer.talk()));
        }
        for (number, thread) in world.streams.iter().enumerate() {
            load.writers.push(tokio::spawn(client(thread, format!("r{number}"), 1000 + number).ask()));
        }
        load
    }

    /// Waits until as much happened as a fault must last for, and some time passed.
    pub(super) async fn enough(&self) {
        self.at_least(self.size.enough, LASTS).await;
    }

    /// Waits until everybody had something to do.
    pub(super) async fn some(&self) {
        self.at_least(self.size.watchers, SOME).await;
    }

    /// Waits until a run has just begun at a node.
    pub(super) async fn begun_at(&self, node: usize) -> String {
        let (began, from) = (Instant::now(), self.recorder.now());
        let one = |entry: &Entry| {
            let Entry::Call(call) = entry else { return None };
            let (Act::Ask { run, .. }, End::Acknowledged { .. }) = (&call.act, &call.end) else { return None };
            (call.node == node && call.from >= from).then(|| run.clone())
        };
        loop {
            if let Some(run) = self.recorder.with(|entries| entries.iter().find_map(one)) {
                return run;
            }
            assert!(began.elapsed() < PATIENCE, "no run begins at node {node}");
            tokio::time::sleep(LOOK / 4).await;
        }
    }

    async fn at_least(&self, count: usize, lasts: Duration) {
        let (began, from) = (Instant::now(), self.recorder.now());
        loop {
            let (written, delivered) = self.recorder.with(|entries| super::measure::since(entries, from));
            if written >= count && delivered >= count && began.elapsed() >= lasts {
                return;
            }
            assert!(began.elapsed() < PATIENCE, "only {written} writes were acknowledged, {delivered} frames came");
            tokio::time::sleep(LOOK).await;
        }
    }

    /// Ends the writing, waits until all who watch are where the log is or have had their time, and ends the watching.
    async fn finish(&mut self, world: &World) {
        let ended = self.recorder.with(|entries| super::measure::moment(entries, Mark::FaultEnded));
        self.written.send_replace(true);
        for writer in self.writers.drain(..) {
            writer.await.expect("a writer");
        }
        let deadline = ended + AGREED - 200_000;
        while self.recorder.now() < deadline && !self.is_settled(world).await {
            tokio::time::sleep(LOOK * 4).await;
        }
        self.recorder.mark(Mark::Over);
        self.watched.send_replace(true);
        for watcher in self.watchers.drain(..) {
            watcher.await.expect("a watcher");
        }
    }

    async fn is_settled(&self, world: &World) -> bool {
        let heads = world.heads().await;
        let progress = self.progress.lock().expect("no panic");
        progress
            .iter()
            .all(|((_, thread), (seq, runs))| *runs == 0 && heads.iter().any(|head| head == &(thread.clone(), *seq)))
    }
}

/// Has a fault come and go under load, prints what came of it in one line, and asserts the checker's verdict.
pub(super) async fn under(name: &str, world: &mut World, fault: impl AsyncFnOnce(&mut World, &Load)) -> Measured {
    let mut load = Load::start(world);
    load.some().await;
    world.recorder.mark(Mark::FaultBegan);
    fault(world, &load).await;
    world.recorder.mark(Mark::FaultEnded);
    load.some().await;
    load.finish(world).await;
    world.keep().await;
    let entries = world.recorder.take();
    let measured = measure(&entries);
    println!("\nproof: {name} | {measured}");
    verdict(name, &entries);
    if is_full() {
        let (written, delivered) = (measured.acknowledged, measured.delivered);
        assert!(written >= load.size.enough && delivered >= load.size.enough, "{name}: {measured}");
    }
    measured
}

/// What the checker says. A history with something wrong is kept, and every one where `THREADMILL_HISTORIES` names a
/// folder.
fn verdict(name: &str, entries: &[Entry]) {
    let violations = check(entries);
    let wanted = std::env::var_os("THREADMILL_HISTORIES").map(PathBuf::from);
    let folder = wanted.or_else(|| (!violations.is_empty()).then(std::env::temp_dir));
    let path = folder.map(|folder| folder.join(format!("threadmill-{}.jsonl", name.replace(' ', "-"))));
    if let Some(path) = &path {
        history::write(path, entries);
    }
    if violations.is_empty() {
        return;
    }
    let mut by_verdict: BTreeMap<_, Vec<_>> = BTreeMap::new();
    for Violation { verdict, detail } in violations {
        by_verdict.entry(verdict).or_default().push(detail);
    }
    let some = by_verdict.iter().map(|(verdict, all)| {
        format!("{verdict:?}, {} times, such as\n  {}", all.len(), all[..all.len().min(FEW)].join("\n  "))
    });
    let some: Vec<_> = some.collect();
    panic!("{name}: the history is in {path:?}\n{}", some.join("\n"));
}
