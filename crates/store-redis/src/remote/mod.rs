//! The trait over any wire: which commands a call sends, and what is made of the replies.

mod hints;
mod info;
mod locks;
mod pages;
mod presence;
mod tails;

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::future::try_join_all;
use threadmill_store::hot::{
    Cause, Extended, Hint, HintStream, HotError, HotInfo, HotResult, HotStore, LockAnswer, LockKey, Mark, PageKey,
    Partition, Place, Present, Sent, TailAppend, TailKey, TailRead, ThreadKey,
};

use crate::doubts::Doubts;
use crate::frame::Framer;
use crate::keys::Keys;
use crate::options::HotOptions;
use crate::wire::{Arg, Command, Fault, Outcome, Reply, Wire};

pub(crate) use hints::HintCodec;

/// A hot tier over a wire.
pub(crate) struct Remote<W> {
    wire: W,
    keys: Keys,
    framer: Framer,
    codec: HintCodec,
    options: HotOptions,
    doubts: Arc<Doubts>,
    sent: Counted,
}

/// What was sent.
#[derive(Debug, Default)]
struct Counted {
    commands: AtomicU64,
    writes: AtomicU64,
    bytes: AtomicU64,
}

/// Commands that change nothing; of any other a copy goes to every region.
const READS: [&str; 7] = ["PING", "INFO", "XRANGE", "XREVRANGE", "XREAD", "SMEMBERS", "TIME"];

impl Counted {
    fn note(&self, commands: &[Command]) {
        let reads = |command: &&Command| matches!(command.args.first(), Some(Arg::Text(name)) if READS.contains(&name.as_str()));
        let reads = commands.iter().filter(reads).count();
        let bytes: usize = commands.iter().map(Command::bytes).sum();
        self.commands.fetch_add(commands.len() as u64, Relaxed);
        self.writes.fetch_add((commands.len() - reads) as u64, Relaxed);
        self.bytes.fetch_add(bytes as u64, Relaxed);
    }
}

/// The index lives longer than what it lists by this, in milliseconds, so that it is there when that is flushed.
const INDEX_MARGIN: u64 = 60_000;

impl<W: Wire> Remote<W> {
    pub(crate) fn new(wire: W, options: HotOptions, doubts: Arc<Doubts>) -> Self {
        let framer = Framer::new(options.seal.clone());
        let codec = HintCodec::new(&options, doubts.clone());
        let (keys, sent) = (Keys::new(&options.namespace), Counted::default());
        Self { wire, keys, framer, codec, options, doubts, sent }
    }

    fn page_ttl(&self) -> u64 {
        W::millis(self.options.lifetimes.page)
    }

    fn tail_ttl(&self) -> u64 {
        W::millis(self.options.lifetimes.tail)
    }

    fn index_ttl(&self) -> u64 {
        self.page_ttl().max(self.tail_ttl()) + INDEX_MARGIN
    }

    fn doubt(&self) {
        self.doubts.note("a value");
    }

    /// A payload that must belong to `place`; one that does not is counted.
    fn verified(&self, place: &[u8], bytes: &Bytes) -> Option<Bytes> {
        let payload = self.wire.data(bytes).and_then(|frame| self.framer.unwrap(place, &frame));
        if payload.is_none() {
            self.doubt();
        }
        payload
    }

    fn nonsense(&self, what: &str) -> HotError {
        HotError::unavailable(self.wire.name(), Cause::Answer, format!("an answer to {what} that makes no sense"))
    }

    /// Ends a call at the deadline.
    async fn timed<T>(&self, times: u32, call: impl Future<Output = HotResult<T>> + Send) -> HotResult<T> {
        let after = self.options.deadline * times;
        match tokio::time::timeout(after, call).await {
            Ok(result) => result,
            Err(_) => {
                self.wire.late();
                Err(HotError::TimedOut { store: self.wire.name(), after })
            }
        }
    }

    /// Sends commands of one place; scripts that are not known there are sent again in full.
    async fn send(&self, commands: Vec<Command>) -> HotResult<Vec<Outcome>> {
        let scripts: Vec<_> = commands.iter().map(|command| command.script.map(|_| command.clone())).collect();
        let count = commands.len();
        self.sent.note(&commands);
        let mut outcomes = self.wire.send(commands).await?;
        if outcomes.len() != count {
            return Err(self.nonsense("a pipeline"));
        }
        let mut again = Vec::new();
        for (at, (outcome, script)) in outcomes.iter().zip(scripts).enumerate() {
            if let (Err(Fault::NoScript), Some(command)) = (outcome, script) {
                again.push((at, command.in_full()));
            }
        }
        if !again.is_empty() {
            let (places, commands): (Vec<_>, Vec<_>) = again.into_iter().unzip();
            self.sent.note(&commands);
            for (at, outcome) in places.into_iter().zip(self.wire.send(commands).await?) {
                outcomes[at] = outcome;
            }
        }
        Ok(outcomes)
    }

    /// Sends one command and needs its reply.
    async fn ask(&self, command: Command) -> HotResult<Reply> {
        let outcome = self.send(vec![command]).await?.pop().ok_or_else(|| self.nonsense("a command"))?;
        self.succeeded(outcome)
    }

    /// A reply, where no fault can be made up for.
    fn succeeded(&self, outcome: Outcome) -> HotResult<Reply> {
        outcome.map_err(|fault| match fault {
            Fault::Error(error) => error,
            Fault::NoScript | Fault::WrongType => self.nonsense("a command"),
        })
    }

    /// Sends groups of commands, each of one partition: those of one place together, the places side by side.
    async fn send_all(&self, groups: Vec<(Partition, Vec<Command>)>) -> HotResult<Vec<Vec<Outcome>>> {
        let mut all = vec![Vec::new(); groups.len()];
        let places = grouped(groups, |(partition, _)| self.wire.place(*partition)).into_iter().map(|(_, groups)| {
            let (sizes, commands): (Vec<_>, Vec<_>) =
                groups.into_iter().map(|(at, (_, commands))| ((at, commands.len()), commands)).unzip();
            async move { Ok((sizes, self.send(commands.into_iter().flatten().collect()).await?)) }
        });
        for (sizes, outcomes) in try_join_all(places).await? {
            let mut outcomes = outcomes.into_iter();
            for (at, size) in sizes {
                all[at].extend(outcomes.by_ref().take(size));
            }
        }
        Ok(all)
    }
}

/// Items by group, in the order in which the groups first occur, each item with its place.
fn grouped<T, K: Hash + Eq + Clone>(
    items: impl IntoIterator<Item = T>,
    key: impl Fn(&T) -> K,
) -> Vec<(K, Vec<(usize, T)>)> {
    let mut groups: Vec<(K, Vec<(usize, T)>)> = Vec::new();
    let mut places = HashMap::new();
    for (at, item) in items.into_iter().enumerate() {
        let key = key(&item);
        let place = *places.entry(key.clone()).or_insert_with(|| {
            groups.push((key, Vec::new()));
            groups.len() - 1
        });
        groups[place].1.push((at, item));
    }
    groups
}

#[async_trait]
impl<W: Wire> HotStore for Remote<W> {
    async fn put_pages(&self, pages: Vec<(PageKey, Bytes)>) -> HotResult<()> {
        self.timed(1, pages::put(self, pages)).await
    }

    async fn pages(&self, keys: &[PageKey]) -> HotResult<Vec<Option<Bytes>>> {
        self.timed(1, pages::read(self, keys)).await
    }

    async fn extend(&self, appends: Vec<TailAppend>) -> HotResult<Vec<Extended>> {
        for append in &appends {
            append.check()?;
        }
        self.timed(1, tails::extend(self, appends)).await
    }

    async fn read_tail(&self, tail: &TailKey, after: Place, limit: u32) -> HotResult<TailRead> {
        self.timed(1, tails::read(self, tail, after, limit)).await
    }

    async fn publish(&self, hints: Vec<Hint>) -> HotResult<()> {
        self.timed(1, hints::publish(self, hints)).await
    }

    fn subscribe(&self, partitions: Vec<Partition>) -> HintStream {
        self.wire.listen(partitions)
    }

    async fn acquire(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
        self.timed(1, locks::ask(self, "acquire", lock, owner, ttl)).await
    }

    async fn renew(&self, lock: &LockKey, owner: &str, ttl: Duration) -> HotResult<LockAnswer> {
        self.timed(1, locks::ask(self, "renew", lock, owner, ttl)).await
    }

    async fn release(&self, lock: &LockKey, owner: &str) -> HotResult<bool> {
        let answer = self.timed(1, locks::ask(self, "release", lock, owner, Duration::ZERO)).await?;
        Ok(answer == LockAnswer::Held)
    }

    async fn set_presence(&self, marks: Vec<Mark>, ttl: Duration) -> HotResult<()> {
        for mark in &marks {
            mark.check()?;
        }
        self.timed(1, presence::set(self, marks, ttl)).await
    }

    async fn presence(&self, thread: &ThreadKey) -> HotResult<Vec<Present>> {
        self.timed(1, presence::list(self, thread)).await
    }

    async fn flush_thread(&self, thread: &ThreadKey) -> HotResult<()> {
        self.timed(10, pages::flush(self, thread)).await
    }

    async fn ping(&self) -> HotResult<()> {
        self.timed(1, self.ask(Command::new("PING"))).await.map(|_| ())
    }

    async fn info(&self) -> HotResult<HotInfo> {
        self.sent.note(&[Command::new("INFO")]);
        self.timed(1, info::read(self)).await
    }

    fn is_pushed(&self) -> bool {
        self.wire.is_pushed()
    }

    fn unverified(&self) -> u64 {
        self.doubts.count()
    }

    fn sent(&self) -> Sent {
        let Counted { commands, writes, bytes } = &self.sent;
        let beside = self.wire.beside();
        Sent { commands: commands.load(Relaxed) + beside, writes: writes.load(Relaxed), bytes: bytes.load(Relaxed) }
    }
}
