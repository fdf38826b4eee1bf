//! Listening for hints: one connection a server, on which the channels of its partitions are subscribed; sharded
//! channels on a cluster. Pub/sub loses what is said while nobody listens, so the listener is told exactly when that
//! may have happened:
//!
//! - a partition is ready when the server has confirmed its subscription, and not before;
//! - it is lost when the connection ends, when the server takes the subscription back (`sunsubscribe`: the slot has
//!   moved), or when the server does not answer a ping in time (a stopped process keeps its connections open).
//!
//! What is lost is subscribed again, where it is then, with full-jitter backoff, for as long as somebody listens.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::future::join_all;
use redis::aio::{ConnectionLike, MultiplexedConnection};
use redis::{Pipeline, PushInfo, PushKind, RedisResult, Value};
use threadmill_store::hot::{Chance, HintSender, HintStream, HotMode, Partition, full_jitter, hint_channel};
use tokio::sync::Notify;

use super::RETRY;
use super::server::{Address, OnPush, Servers};
use crate::keys::slot;
use crate::remote::HintCodec;

/// How often a server is asked whether it is there, and how long it may take to say so: a stopped one is noticed
/// within 2 s.
const PING: Duration = Duration::from_secs(1);

/// Unread events of one listener. More are dropped and reported as lost.
const LISTENER: usize = 8192;

/// Listens until the stream is dropped, and counts what it sends in `beside`.
pub(super) fn start(
    servers: Arc<Servers>,
    codec: HintCodec,
    partitions: Vec<Partition>,
    (seed, beside): (u64, Arc<AtomicU64>),
) -> HintStream {
    let (sender, stream) = hint_channel(partitions, LISTENER);
    let hub = Arc::new(Hub { sender, codec, owners: Mutex::default(), changed: Notify::new() });
    let (nodes, chance) = (HashMap::new(), Chance::new(!seed));
    let listener = Listener { servers, hub, nodes, next: 0, failed: 0, chance, beside };
    tokio::spawn(listener.run());
    stream
}

/// Where the connections' messages come in.
struct Hub {
    sender: HintSender,
    codec: HintCodec,
    /// Which connection a partition is subscribed on, or is being.
    owners: Mutex<HashMap<Partition, u64>>,
    /// A partition was lost.
    changed: Notify,
}

impl Hub {
    fn owners(&self) -> MutexGuard<'_, HashMap<Partition, u64>> {
        self.owners.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A message that came unasked on connection `node`.
    fn pushed(&self, node: u64, push: &PushInfo) {
        match push.kind {
            PushKind::Message | PushKind::SMessage => self.message(&push.data),
            PushKind::Subscribe | PushKind::SSubscribe => {
                if let Some(partition) = self.owned(node, &push.data) {
                    self.sender.ready(&[partition]);
                }
            }
            PushKind::Unsubscribe | PushKind::SUnsubscribe => {
                if let Some(partition) = self.owned(node, &push.data) {
                    self.lose(&[partition]);
                }
            }
            PushKind::Disconnection => self.lose_node(node),
            _ => {}
        }
    }

    fn message(&self, data: &[Value]) {
        let [Value::BulkString(channel), Value::BulkString(message)] = data else { return };
        let Some(partition) = self.codec.keys.partition_of(channel) else { return };
        for hint in self.codec.decode(partition, &message.clone().into()) {
            self.sender.hint(hint);
        }
    }

    /// The partition of the channel that a push names, if it belongs to this connection. One that was given up may
    /// still speak.
    fn owned(&self, node: u64, data: &[Value]) -> Option<Partition> {
        let Some(Value::BulkString(channel)) = data.first() else { return None };
        let partition = self.codec.keys.partition_of(channel)?;
        (self.owners().get(&partition) == Some(&node)).then_some(partition)
    }

    fn lose(&self, partitions: &[Partition]) {
        let mut owners = self.owners();
        for partition in partitions {
            owners.remove(partition);
        }
        self.sender.lost(partitions);
        drop(owners);
        self.changed.notify_one();
    }

    fn lose_node(&self, node: u64) {
        let held: Vec<_> = self.owners().iter().filter(|(_, owner)| **owner == node).map(|(p, _)| *p).collect();
        self.lose(&held);
    }
}

/// A server that is listened to.
struct Node {
    number: u64,
    connection: MultiplexedConnection,
}

struct Listener {
    servers: Arc<Servers>,
    hub: Arc<Hub>,
    /// By address; `None` is the one primary where there is no cluster.
    nodes: HashMap<Option<Address>, Node>,
    next: u64,
    failed: u32,
    chance: Chance,
    /// Commands that it has sent.
    beside: Arc<AtomicU64>,
}

impl Listener {
    async fn run(mut self) {
        let hub = self.hub.clone();
        tokio::select! {
            () = hub.sender.closed() => {}
            () = self.listen() => {}
        }
    }

    /// Subscribes what is missing, and looks after the connections, in turn.
    async fn listen(&mut self) {
        loop {
            let all = self.subscribe().await;
            self.failed = if all { 0 } else { self.failed.saturating_add(1) };
            let wait = if all { PING } else { full_jitter(&mut self.chance, self.failed, RETRY.0, RETRY.1) };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                () = self.hub.changed.notified() => {
                    // Those who lost the same server come back one after the other.
                    tokio::time::sleep(self.chance.below(RETRY.0)).await;
                }
            }
            self.ping().await;
        }
    }

    /// Sends the subscriptions that nobody has confirmed. True if none is missing in the end.
    async fn subscribe(&mut self) -> bool {
        let missing = self.hub.sender.missing();
        if missing.is_empty() {
            return true;
        }
        let Ok(places) = self.places(&missing).await else { return false };
        for (address, partitions) in places {
            if self.subscribe_at(address.clone(), &partitions).await.is_err() {
                self.give_up(&address);
            }
        }
        self.hub.sender.missing().is_empty()
    }

    async fn subscribe_at(&mut self, address: Option<Address>, partitions: &[Partition]) -> RedisResult<()> {
        let node = self.node(address).await?;
        let (number, mut connection) = (node.number, node.connection.clone());
        self.hub.owners().extend(partitions.iter().map(|partition| (*partition, number)));
        let name = if self.servers.mode() == HotMode::Cluster { "SSUBSCRIBE" } else { "SUBSCRIBE" };
        let mut pipeline = Pipeline::with_capacity(partitions.len());
        self.beside.fetch_add(partitions.len() as u64, Ordering::Relaxed);
        for partition in partitions {
            // One channel a command: the confirmation of each is the reply to it.
            pipeline.cmd(name).arg(self.hub.codec.keys.channel(*partition));
        }
        let sent = connection.req_packed_commands(&pipeline, 0, partitions.len());
        match tokio::time::timeout(PING * 2, sent).await {
            Ok(result) => result.map(|_| ()),
            Err(_) => Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()),
        }
    }

    /// The connection to a server, made if there is none.
    async fn node(&mut self, address: Option<Address>) -> RedisResult<&Node> {
        if !self.nodes.contains_key(&address) {
            self.next += 1;
            let (number, hub) = (self.next, self.hub.clone());
            let on_push: OnPush = Box::new(move |push| hub.pushed(number, &push));
            let connection = match &address {
                Some(address) => self.servers.connect(self.servers.member(address)?, Some(on_push)).await?,
                None => self.servers.connect_primary(Some(on_push)).await?,
            };
            self.nodes.insert(address.clone(), Node { number, connection });
        }
        Ok(&self.nodes[&address])
    }

    fn give_up(&mut self, address: &Option<Address>) {
        if let Some(node) = self.nodes.remove(address) {
            self.hub.lose_node(node.number);
        }
    }

    /// Gives up servers that do not answer, and connections that nothing is subscribed on any more.
    async fn ping(&mut self) {
        self.beside.fetch_add(self.nodes.len() as u64, Ordering::Relaxed);
        let asked = self.nodes.iter().map(|(address, node)| {
            let mut connection = node.connection.clone();
            let used = self.hub.owners().values().any(|owner| *owner == node.number);
            async move {
                let ping = redis::cmd("PING");
                let answered = tokio::time::timeout(PING, connection.req_packed_command(&ping)).await;
                (address.clone(), used && matches!(answered, Ok(Ok(_))))
            }
        });
        for (address, fine) in join_all(asked).await {
            if !fine {
                self.give_up(&address);
            }
        }
    }

    /// Which server each partition is on.
    async fn places(&self, partitions: &[Partition]) -> RedisResult<HashMap<Option<Address>, Vec<Partition>>> {
        if self.servers.mode() != HotMode::Cluster {
            return Ok(HashMap::from([(None, partitions.to_vec())]));
        }
        let ranges = self.slots().await?;
        let mut places: HashMap<_, Vec<_>> = HashMap::new();
        for partition in partitions {
            let slot = slot(&self.hub.codec.keys.channel(*partition));
            // An unserved slot stays missing.
            if let Some((_, _, address)) = ranges.iter().find(|(from, to, _)| (*from..=*to).contains(&slot)) {
                places.entry(Some(address.clone())).or_default().push(*partition);
            }
        }
        Ok(places)
    }

    /// The cluster's ranges of slots and their primaries, from the first server that says so: those that are listened
    /// to, then those of the options.
    async fn slots(&self) -> RedisResult<Vec<(u16, u16, Address)>> {
        let mut last = None;
        for (address, node) in &self.nodes {
            let contact = address.as_ref().map(|address| address.host.clone()).unwrap_or_default();
            match ask_slots(node.connection.clone(), &contact).await {
                Ok(ranges) => return Ok(ranges),
                Err(error) => last = Some(error),
            }
        }
        for seed in self.servers.seeds() {
            let contact = match seed.addr() {
                redis::ConnectionAddr::Tcp(host, _) | redis::ConnectionAddr::TcpTls { host, .. } => host.clone(),
                _ => String::new(),
            };
            match self.servers.connect(seed.clone(), None).await {
                Ok(connection) => match ask_slots(connection, &contact).await {
                    Ok(ranges) => return Ok(ranges),
                    Err(error) => last = Some(error),
                },
                Err(error) => last = Some(error),
            }
        }
        Err(last.unwrap_or_else(|| std::io::Error::from(std::io::ErrorKind::NotConnected).into()))
    }
}

/// `CLUSTER SLOTS`: ranges, each with its primary first. A server without a host is the one that was asked.
async fn ask_slots(mut connection: MultiplexedConnection, contact: &str) -> RedisResult<Vec<(u16, u16, Address)>> {
    let command = redis::cmd("CLUSTER").arg("SLOTS").to_owned();
    let asked = tokio::time::timeout(PING, connection.req_packed_command(&command)).await;
    let value = asked.unwrap_or_else(|_| Err(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))?;
    let ranges: Vec<Vec<Value>> = redis::from_redis_value(value)?;
    Ok(ranges.into_iter().filter_map(|range| read_range(range, contact)).collect())
}

fn read_range(range: Vec<Value>, contact: &str) -> Option<(u16, u16, Address)> {
    let mut range = range.into_iter();
    let from = redis::from_redis_value(range.next()?).ok()?;
    let to = redis::from_redis_value(range.next()?).ok()?;
    let mut primary = redis::from_redis_value::<Vec<Value>>(range.next()?).ok()?.into_iter();
    let host: String = redis::from_redis_value::<Option<String>>(primary.next()?).ok()?.unwrap_or_default();
    let port = redis::from_redis_value(primary.next()?).ok()?;
    let host = if host.is_empty() { contact.to_owned() } else { host };
    Some((from, to, Address { host, port }))
}
