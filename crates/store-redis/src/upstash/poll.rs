//! Listening where nothing is pushed: every listener looks into its partitions' streams of hints, all with one
//! `XREAD`. Where it might have missed some it says so: after a failure, after a pause, and when it finds as many
//! hints as a stream keeps. A database that is emptied between two looks goes unnoticed; whoever listens compares
//! heads now and then.

use std::sync::Arc;
use std::time::Duration;

use threadmill_store::hot::{HintSender, HintStream, Partition, hint_channel};
use tokio::time::Instant;

use super::{HINTS, HINTS_TTL, Rest, decode};
use crate::remote::HintCodec;
use crate::wire::{Command, Outcome, Reply};

/// Unread events of one listener. More are dropped and reported as lost.
const LISTENER: usize = 8192;

/// Listens until the stream is dropped.
pub(super) fn start(rest: Arc<Rest>, codec: HintCodec, partitions: Vec<Partition>, every: Duration) -> HintStream {
    let (sender, stream) = hint_channel(partitions, LISTENER);
    tokio::spawn(async move {
        let partitions = sender.watched();
        let poller = Poller { rest, codec, partitions, every };
        tokio::select! {
            () = sender.closed() => {}
            () = poller.run(&sender) => {}
        }
    });
    stream
}

struct Poller {
    rest: Arc<Rest>,
    codec: HintCodec,
    partitions: Vec<Partition>,
    every: Duration,
}

impl Poller {
    /// Looks, again and again. The places it has read to are worth nothing after a failure.
    async fn run(&self, sender: &HintSender) {
        loop {
            if let Some(mut places) = self.begin().await {
                sender.ready(&self.partitions);
                let mut looked = Instant::now();
                loop {
                    tokio::time::sleep(self.every).await;
                    let pause = looked.elapsed() > Duration::from_millis(HINTS_TTL / 2);
                    looked = Instant::now();
                    let found = self.look(&mut places, sender).await;
                    if found.is_none() || pause {
                        break;
                    }
                }
                sender.lost(&self.partitions);
            }
            tokio::time::sleep(self.every).await;
        }
    }

    async fn one(&self, command: Command) -> Option<Reply> {
        self.rest.send(&[command]).await.ok()?.pop().and_then(Outcome::ok)
    }

    /// The ids after which everything is new: the server's time, since it numbers entries by it.
    async fn begin(&self) -> Option<Vec<String>> {
        let time = self.one(Command::new("TIME")).await?;
        let [seconds, micros] = time.list()? else { return None };
        let millis = (seconds.number()? * 1000 + micros.number()? / 1000).checked_sub(1)?;
        Some(vec![format!("{millis}-{}", u64::MAX); self.partitions.len()])
    }

    /// Hands on what came since the last look. `None` if that could not be found out.
    async fn look(&self, places: &mut [String], sender: &HintSender) -> Option<()> {
        let keys = self.partitions.iter().map(|partition| self.codec.keys.hints(*partition));
        let command = Command::new("XREAD").arg("COUNT").arg(HINTS).arg("STREAMS").args(keys);
        let streams = self.one(command.args(places.iter().map(String::as_str))).await?;
        for stream in streams.list().unwrap_or_default() {
            let [key, entries] = stream.list()? else { return None };
            let key = key.text()?;
            let at = self.partitions.iter().position(|partition| self.codec.keys.hints(*partition) == key)?;
            let entries = entries.list()?;
            if entries.len() as u64 >= HINTS {
                sender.missed(&[self.partitions[at]]);
            }
            for entry in entries {
                let [id, fields] = entry.list()? else { return None };
                places[at] = id.text()?;
                if let Some([_, Reply::Bytes(message), ..]) = fields.list() {
                    let message = decode(message).unwrap_or_default();
                    self.codec.decode(self.partitions[at], &message).into_iter().for_each(|hint| sender.hint(hint));
                }
            }
        }
        Some(())
    }
}
