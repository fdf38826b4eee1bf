//! A cluster of three: slots that move, servers that go.

use std::process::Command;
use std::time::Duration;

use threadmill_proto::TenantId;
use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{Extended, Hint, HintEvent, HotMode, Partition, TailKey};
use threadmill_store_redis::{HotOptions, RedisOptions};

use crate::rigs::{open, patient};
use crate::servers::{Cluster, Redis, valkey};

fn hints_of_all(tenant: &TenantId) -> Vec<Hint> {
    let hints: Vec<_> = (0..2000)
        .map(|n| Hint::Thread { thread: kit::thread(tenant, &format!("th{n}")), head: kit::at(1, n) })
        .collect();
    Partition::all().filter_map(|here| hints.iter().find(|hint| hint.partition() == here).cloned()).collect()
}

async fn id(server: &Redis) -> String {
    server.run_command(&["CLUSTER", "MYID"]).await
}

/// Some of the slots move to another server while a listener listens and a writer writes. Nothing fails for good,
/// what was lost is reported, and afterwards every partition is heard.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_under_readers_and_writers() {
    slots_move(Cluster::start("redis-server")).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn slots_move_under_readers_and_writers_on_valkey() {
    match valkey() {
        Some(binary) => slots_move(Cluster::start(&binary)).await,
        None => println!("there is no valkey-server: nothing is checked"),
    }
}

async fn slots_move(cluster: Cluster) {
    let store = open(RedisOptions::cluster(cluster.urls()), patient(Default::default()));
    let all: Vec<_> = Partition::all().collect();
    let mut stream = store.subscribe(all.clone());
    kit::wait_ready(&mut stream, &all).await;

    let tails: Vec<_> = (0..200).map(|_| TailKey::Log(kit::some_thread())).collect();
    let append = |seq| tails.iter().map(|tail| kit::append(tail, kit::at(1, seq), &["x"])).collect::<Vec<_>>();
    store.extend(append(0)).await.expect("the tier answers");

    let (from, to) = (id(&cluster.0[0]).await, id(&cluster.0[1]).await);
    let contact = cluster.0[0].host();
    let moved = tokio::task::spawn_blocking(move || {
        Command::new("redis-cli")
            .args(["--cluster", "reshard", &contact, "--cluster-from", &from, "--cluster-to", &to])
            .args(["--cluster-slots", "1000", "--cluster-yes"])
            .output()
            .expect("redis-cli")
    });
    let mut seq = 1;
    while !moved.is_finished() {
        let answers = store.extend(append(seq)).await;
        // While a slot is on its way a call may fail; then nobody knows how far each tail is.
        let Ok(answers) = answers else { break };
        assert!(answers.iter().all(|answer| *answer == Extended::Accepted), "{seq}");
        seq += 1;
    }
    let moved = moved.await.expect("it ends");
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stdout));

    let mut lost = 0;
    let mut missing: Vec<Partition> = Vec::new();
    while lost < 3 || !missing.is_empty() {
        match kit::next(&mut stream).await {
            HintEvent::Lost(gone) => {
                lost += gone.len();
                missing.extend(gone);
            }
            HintEvent::Ready(back) => missing.retain(|partition| !back.contains(partition)),
            HintEvent::Hint(_) => {}
        }
    }
    let tenant = kit::tenant();
    let mut wanted = hints_of_all(&tenant);
    assert_eq!(wanted.len(), all.len());
    kit::until("it publishes", || async { store.publish(hints_of_all(&tenant)).await.is_ok() }).await;
    while !wanted.is_empty() {
        if let HintEvent::Hint(hint) = kit::next(&mut stream).await {
            wanted.retain(|other| *other != hint);
        }
    }
    // What was acknowledged is there; whether more is, nobody knows.
    for tail in &tails {
        let found = kit::read(&*store, tail, kit::at(1, seq - 1)).await;
        assert_eq!(found.split(' ').next(), Some(&*format!("{seq}:x")), "{found}");
    }
}

/// One server of three hangs: what is on the others goes on, and the listener hears which partitions are lost.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_hung_server_costs_its_own_partitions() {
    let cluster = Cluster::start("redis-server");
    let store = open(RedisOptions::cluster(cluster.urls()), HotOptions::default());
    let all: Vec<_> = Partition::all().collect();
    let mut stream = store.subscribe(all.clone());
    kit::wait_ready(&mut stream, &all).await;
    kit::until("it answers", || async { store.info().await.is_ok() }).await;
    assert_eq!(store.info().await.expect("the tier answers").mode, HotMode::Cluster);

    cluster.0[2].signal("-STOP");
    let lost = loop {
        if let HintEvent::Lost(lost) = kit::next(&mut stream).await {
            break lost;
        }
    };
    assert!((20..=70).contains(&lost.len()), "{lost:?}");
    let mut fine = 0;
    for _ in 0..20 {
        let thread = kit::some_thread();
        let began = tokio::time::Instant::now();
        let answer = store.pages(&[kit::page(&thread, 0, 1)]).await;
        assert!(began.elapsed() < Duration::from_secs(1), "{:?}", began.elapsed());
        if lost.contains(&thread.partition()) {
            assert!(answer.is_err());
        } else {
            fine += usize::from(answer.is_ok());
        }
    }
    assert!(fine > 0, "the others answer");
    cluster.0[2].signal("-CONT");
    kit::wait_ready(&mut stream, &lost).await;
}

/// Our computation of slots is the server's.
#[tokio::test]
async fn threads_are_spread_over_the_servers() {
    let cluster = Cluster::start("redis-server");
    let store = open(RedisOptions::cluster(cluster.urls()), patient(Default::default()));
    for _ in 0..300 {
        kit::put(&*store, &kit::page(&kit::some_thread(), 0, 1), "page").await;
    }
    for server in &cluster.0 {
        let keys: u64 = server.run_command(&["DBSIZE"]).await;
        assert!((100..=320).contains(&keys), "{keys}");
    }
}
