//! Servers that answer with more than anybody could want: a text, a line, a list or a stream of replies without an end.
//! What they get rid of is counted: nobody reads on, and every call ends by its deadline.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use threadmill_store::hot::conformance::kit;
use threadmill_store::hot::{HotStore, Partition};
use threadmill_store_redis::{HotOptions, RedisOptions, UpstashHot, UpstashOptions};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::rigs::open;

/// What a socket's buffers take on both sides, and a reading under way.
const BUFFERS: u64 = 16 << 20;
/// What may be read of replies that are each fine, at once and in the time of a test.
const ALLOWED: u64 = (32 << 20) + (64 << 20) * 4;

/// How a server answers.
#[derive(Debug, Clone, Copy)]
enum Attack {
    /// Something, then the same again without an end.
    Endless(&'static str, &'static str),
}

const ATTACKS: [Attack; 7] = [
    Attack::Endless("$4611686018427387904\r\n", "xxxxxxxxxxxxxxxx"),
    Attack::Endless("$2147483647\r\n", "xxxxxxxxxxxxxxxx"),
    Attack::Endless("*10000000\r\n", "_\r\n"),
    Attack::Endless("+", "xxxxxxxxxxxxxxxx"),
    Attack::Endless("-ERR ", "xxxxxxxxxxxxxxxx"),
    Attack::Endless("", "*1\r\n"),
    Attack::Endless("%30000\r\n", "*1\r\n_\r\n_\r\n"),
];

/// Answers every connection with an attack, `fine` after the first thing that it reads. Counts the most that one
/// connection took.
async fn hostile(fine: &'static str, attack: Attack, most: Arc<AtomicU64>) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            tokio::spawn(answer(stream, fine, attack, Arc::clone(&most)));
        }
    });
    port
}

async fn answer(mut stream: TcpStream, fine: &'static str, attack: Attack, most: Arc<AtomicU64>) {
    let Attack::Endless(first, again) = attack;
    let mut read = [0; 4096];
    if !fine.is_empty() && (stream.read(&mut read).await.is_err() || stream.write_all(fine.as_bytes()).await.is_err()) {
        return;
    }
    if stream.read(&mut read).await.is_err() || stream.write_all(first.as_bytes()).await.is_err() {
        return;
    }
    let piece = again.repeat((64 << 10) / again.len());
    let mut taken = 0;
    while stream.write_all(piece.as_bytes()).await.is_ok() {
        taken += piece.len() as u64;
        most.fetch_max(taken, Ordering::Relaxed);
    }
}

/// Calls for a while; each ends by its deadline.
async fn use_it(store: &dyn HotStore) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        let asked = Instant::now();
        let key = kit::page(&kit::some_thread(), 0, 1);
        assert!(store.pages(&[key]).await.is_err());
        assert!(asked.elapsed() < Duration::from_secs(2), "{:?}", asked.elapsed());
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// With the first answer, or once the connection is made: `CLIENT SETINFO` is answered twice.
const HANDSHAKES: [&str; 2] = ["", "+OK\r\n+OK\r\n"];

#[tokio::test(flavor = "multi_thread")]
async fn no_answer_takes_more_than_its_limit() {
    for attack in ATTACKS {
        for fine in HANDSHAKES {
            let most = Arc::new(AtomicU64::new(0));
            let port = hostile(fine, attack, Arc::clone(&most)).await;
            let store = open(RedisOptions::standalone(format!("redis://127.0.0.1:{port}")), HotOptions::default());
            let listener = store.subscribe(Partition::all().collect());
            use_it(&*store).await;
            drop(listener);
            let most = most.load(Ordering::Relaxed);
            assert!(most <= BUFFERS, "{attack:?} after {fine:?}: {most} bytes were taken");
        }
    }
}

/// Replies that are each fine and that nobody asked for are read no faster than the rate.
#[tokio::test(flavor = "multi_thread")]
async fn answers_without_an_end_are_read_slowly() {
    let most = Arc::new(AtomicU64::new(0));
    let attack = Attack::Endless("", "*3\r\n:1\r\n:2\r\n$4\r\nabcd\r\n");
    let port = hostile(HANDSHAKES[1], attack, Arc::clone(&most)).await;
    let store = open(RedisOptions::standalone(format!("redis://127.0.0.1:{port}")), HotOptions::default());
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(3) {
        drop(store.ping().await);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let most = most.load(Ordering::Relaxed);
    assert!(most <= ALLOWED + BUFFERS, "{most} bytes were taken");
}

/// Sentinels that lie.
#[tokio::test(flavor = "multi_thread")]
async fn a_sentinel_takes_no_more_than_its_limit() {
    let most = Arc::new(AtomicU64::new(0));
    let port = hostile(HANDSHAKES[1], ATTACKS[0], Arc::clone(&most)).await;
    let urls = [format!("redis://127.0.0.1:{port}")];
    let store = open(RedisOptions::sentinel(urls, "main", "redis://sentinel.invalid"), HotOptions::default());
    use_it(&*store).await;
    let most = most.load(Ordering::Relaxed);
    assert!(most <= BUFFERS, "{most} bytes were taken");
}

/// A service behind HTTP whose body does not end.
#[tokio::test(flavor = "multi_thread")]
async fn a_body_takes_no_more_than_its_limit() {
    for (first, again) in [
        ("HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n[{\"result\":\"", "xxxxxxxxxxxxxxxx"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 4611686018427387904\r\n\r\n[", "null,null,null,"),
        ("HTTP/1.1 500 No\r\n\r\n", "xxxxxxxxxxxxxxxx"),
    ] {
        let most = Arc::new(AtomicU64::new(0));
        let port = hostile("", Attack::Endless(first, again), Arc::clone(&most)).await;
        let options = UpstashOptions::new(format!("http://127.0.0.1:{port}"), "secret");
        let store = UpstashHot::open(options).expect("the options are fine");
        use_it(&*store).await;
        let most = most.load(Ordering::Relaxed);
        assert!(most <= BUFFERS + (16 << 20), "{first:?}: {most} bytes were taken");
    }
}
