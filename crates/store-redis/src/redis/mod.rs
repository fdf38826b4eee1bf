//! Redis and Valkey over their own protocol: one server, a primary that sentinels watch, or a cluster.

mod convert;
mod link;
mod listen;
mod options;
mod resp;
mod server;
mod stream;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use threadmill_store::hot::{HintStream, HotMode, HotResult, HotStore, Partition, Told};

use crate::options::HotOptions;
use crate::remote::{HintCodec, Remote};
use crate::wire::{Command, Outcome, Wire};

pub use options::{Layout, RedisOptions};

use link::Link;
use server::Servers;

/// A hot tier in Redis or Valkey.
///
/// Opening connects to nothing: a server that is away is one that may come back. Calls share one connection a server
/// and go over it side by side; listeners have one more each a server.
#[derive(Debug)]
pub struct RedisHot;

impl RedisHot {
    /// A tier as `options` say. Needs a tokio runtime.
    ///
    /// # Errors
    /// `Invalid` for options that can never work; the detail names no secret.
    pub fn open(options: RedisOptions) -> HotResult<Arc<dyn HotStore>> {
        options.check()?;
        let doubts = Arc::default();
        let codec = HintCodec::new(&options.common, Arc::clone(&doubts));
        let servers = Arc::new(Servers::new(&options)?);
        let wire = RedisWire {
            link: Link::new(servers.clone(), options.common.seed),
            servers,
            codec,
            common: options.common.clone(),
            beside: Arc::default(),
        };
        Ok(Arc::new(Remote::new(wire, options.common, doubts)))
    }
}

struct RedisWire {
    link: Link,
    servers: Arc<Servers>,
    codec: HintCodec,
    common: HotOptions,
    /// Commands of the listener.
    beside: Arc<AtomicU64>,
}

#[async_trait]
impl Wire for RedisWire {
    fn name(&self) -> &'static str {
        "redis"
    }

    fn mode(&self) -> HotMode {
        self.servers.mode()
    }

    /// A cluster's pipeline is for one slot; one server takes anything.
    fn place(&self, partition: Partition) -> u8 {
        if self.servers.mode() == HotMode::Cluster { partition.number() } else { 0 }
    }

    fn told(&self) -> Told {
        Told::WithEntries
    }

    async fn send(&self, commands: Vec<Command>) -> HotResult<Vec<Outcome>> {
        self.link.send(&commands).await
    }

    async fn info(&self) -> HotResult<Vec<String>> {
        self.link.info().await
    }

    fn data(&self, bytes: &Bytes) -> Option<Bytes> {
        Some(bytes.clone())
    }

    fn announce(&self, partition: Partition, payload: Bytes) -> Vec<Command> {
        let name = if self.servers.mode() == HotMode::Cluster { "SPUBLISH" } else { "PUBLISH" };
        vec![Command::new(name).arg(self.codec.keys.channel(partition)).arg(payload)]
    }

    fn is_pushed(&self) -> bool {
        true
    }

    fn listen(&self, partitions: Vec<Partition>) -> HintStream {
        listen::start(self.servers.clone(), self.codec.clone(), partitions, (self.common.seed, self.beside.clone()))
    }

    fn beside(&self) -> u64 {
        self.beside.load(Ordering::Relaxed)
    }

    fn late(&self) {
        self.link.late(self.common.deadline);
    }
}

/// The longest wait before connecting again, and the longest first one.
const RETRY: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(2));

/// When connecting gives up. It goes on beyond the deadline of the call that began it, for the next one.
const CONNECT: Duration = Duration::from_secs(2);
