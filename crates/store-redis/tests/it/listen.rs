//! Listeners on bad days: what was missed is always said.

use std::sync::Arc;
use std::time::Duration;

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Hint, HintEvent, HintStream, HotStore, Partition};

use threadmill_store_redis::RedisOptions;

use crate::rigs::{on, open, patient};
use crate::servers::Redis;

fn hint(seq: u64) -> Hint {
    let thread = kit::thread(&threadmill_proto::TenantId::parse("acme").expect("an id"), "th");
    Hint::Thread { thread, head: kit::at(1, seq) }
}

/// A reader that keeps to the rules: it reads the head when a partition is ready and when a hint says that it moved.
struct Reader {
    stream: HintStream,
    seen: u64,
    lost: u32,
}

impl Reader {
    async fn start(store: &Arc<dyn HotStore>) -> Self {
        let mut stream = store.subscribe(vec![hint(0).partition()]);
        kit::wait_ready(&mut stream, &[hint(0).partition()]).await;
        Self { stream, seen: 0, lost: 0 }
    }

    /// Follows until it has seen `head`; what the durable tier would say is `head`.
    async fn follow(&mut self, head: u64) {
        while self.seen < head {
            match kit::next(&mut self.stream).await {
                HintEvent::Ready(_) => self.seen = head,
                HintEvent::Lost(_) => self.lost += 1,
                HintEvent::Hint(Hint::Thread { head, .. }) => self.seen = self.seen.max(head.seq),
                HintEvent::Hint(_) => {}
            }
        }
    }
}

async fn wait_lost(stream: &mut HintStream) {
    while !matches!(kit::next(stream).await, HintEvent::Lost(_)) {}
}

/// Connections are cut again and again while hints are published; some are lost, and the reader misses no head.
#[tokio::test]
async fn cut_connections_are_reported() {
    let server = Redis::start();
    let (store, mut reader) = (on(&server), Reader::start(&on(&server)).await);
    for round in 1..=5 {
        let killed: u64 = server.run_command(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
        assert_eq!(killed, 1);
        store.publish(vec![hint(round)]).await.expect("the tier answers");
        reader.follow(round).await;
    }
    assert!(reader.lost >= 4, "{}", reader.lost);
}

#[tokio::test]
async fn a_restarted_server_is_listened_to_again() {
    let mut server = Redis::start();
    let store = on(&server);
    let all: Vec<_> = Partition::all().collect();
    let mut stream = store.subscribe(all.clone());
    kit::wait_ready(&mut stream, &all).await;
    server.kill();
    wait_lost(&mut stream).await;
    server.restart();
    kit::wait_ready(&mut stream, &all).await;
    kit::until("it publishes", || async { store.publish(vec![hint(1)]).await.is_ok() }).await;
    kit::wait_hint(&mut stream, &hint(1)).await;
}

/// A stopped process keeps its connections open: only the ping tells.
#[tokio::test]
async fn a_hung_server_is_reported() {
    let server = Redis::start();
    let mut reader = Reader::start(&on(&server)).await;
    server.signal("-STOP");
    let began = tokio::time::Instant::now();
    wait_lost(&mut reader.stream).await;
    assert!(began.elapsed() < Duration::from_secs(4), "{:?}", began.elapsed());
    server.signal("-CONT");
    kit::wait_ready(&mut reader.stream, &[hint(0).partition()]).await;
}

/// A server that is not there yet is waited for.
#[tokio::test]
async fn a_listener_may_come_first() {
    let mut server = Redis::start();
    server.kill();
    let mut stream = on(&server).subscribe(vec![hint(0).partition()]);
    server.restart();
    assert_eq!(kit::next(&mut stream).await, HintEvent::Ready(vec![hint(0).partition()]));
}

/// One connection a listener, however many partitions; none when it is gone.
#[tokio::test]
async fn connections_are_few_and_given_back() {
    let server = Redis::start();
    let store = on(&server);
    let all: Vec<_> = Partition::all().collect();
    let mut stream = store.subscribe(all.clone());
    kit::wait_ready(&mut stream, &all).await;
    let listeners = || async {
        let list: String = server.run_command(&["CLIENT", "LIST", "TYPE", "pubsub"]).await;
        list.lines().count()
    };
    assert_eq!(listeners().await, 1);
    drop(stream);
    kit::until("the connection is closed", || async { listeners().await == 0 }).await;
}

/// Sending a subscription makes nobody ready: one that the server refuses never does, and one that it then grants does.
#[tokio::test]
async fn ready_means_confirmed() {
    let server = Redis::start();
    let rules = ["ACL", "SETUSER", "app", "on", ">pass", "~*", "+@all", "resetchannels"];
    let _: redis::Value = server.run_command(&rules).await;
    let url = format!("redis://app:pass@127.0.0.1:{}", server.port());
    let store = open(RedisOptions::standalone(url), patient(Default::default()));
    let mut stream = store.subscribe(vec![hint(0).partition()]);
    let refused = || async {
        let stats: String = server.run_command(&["INFO", "commandstats"]).await;
        stats.lines().any(|line| line.starts_with("cmdstat_subscribe:") && !line.contains("rejected_calls=0"))
    };
    kit::until("the subscription is refused", refused).await;
    let early = tokio::time::timeout(Duration::from_millis(300), stream.next()).await;
    assert!(early.is_err(), "{early:?}");
    let _: redis::Value = server.run_command(&["ACL", "SETUSER", "app", "&*"]).await;
    assert_eq!(kit::next(&mut stream).await, HintEvent::Ready(vec![hint(0).partition()]));
}
