//! Three nodes on one database and one hot tier, the threads that are written to and watched, and what is kept of them.

use std::sync::Arc;
use std::time::Duration;

use serde_json::json;
use threadmill_mock_provider::Mock;
use threadmill_proto::{BranchId, Record, from_cbor};

use super::history::{self, Body, Entry, Logged};
use super::recorder::Recorder;
use crate::api::{Api, string};
use crate::node::{Node, Setup};
use crate::postgres::Database;
use crate::servers::free_port;

/// No answer takes longer: the durable tier gives up after 10 s, and asks for up to 10 s what became of a commit.
const CALL: Duration = Duration::from_secs(25);

/// How much happens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Size {
    /// Clients that write, two to a thread.
    pub(super) writers: usize,
    /// Clients that watch, each one of those threads and one with runs.
    pub(super) watchers: usize,
    /// Threads with runs, one after the other.
    pub(super) runs: usize,
    /// Acknowledged writes that a fault must last for, and deliveries.
    pub(super) enough: usize,
    /// Between two writes of a client.
    pub(super) pace: Duration,
    /// How long a client waits for an answer.
    pub(super) patience: Duration,
    /// One in so many runs is stopped.
    pub(super) stops: usize,
    pub(super) model: &'static str,
}

/// `THREADMILL_FULL=1` runs the size of the bars.
pub(super) fn is_full() -> bool {
    std::env::var("THREADMILL_FULL").is_ok_and(|full| full == "1")
}

impl Size {
    pub(super) fn wanted() -> Self {
        let (patience, stops) = (CALL, 4);
        if is_full() {
            let (enough, pace, model) = (1000, Duration::from_millis(200), "mock,tokens=60,rate=15");
            Self { writers: 50, watchers: 150, runs: 50, enough, pace, patience, stops, model }
        } else {
            let (enough, pace, model) = (40, Duration::from_millis(40), "mock,tokens=40,rate=30");
            Self { writers: 4, watchers: 6, runs: 2, enough, pace, patience, stops, model }
        }
    }
}

/// A thread and its first branch.
#[derive(Debug, Clone)]
pub(super) struct Thread {
    pub(super) id: String,
    pub(super) branch: BranchId,
}

/// See the module.
pub(super) struct World {
    pub(super) size: Size,
    pub(super) nodes: Vec<Node>,
    pub(super) database: Database,
    pub(super) recorder: Arc<Recorder>,
    /// Threads that are written to.
    pub(super) talks: Vec<Thread>,
    /// Threads with runs.
    pub(super) streams: Vec<Thread>,
    _mock: Arc<Mock>,
}

impl World {
    /// Starts nodes that reach the hot tier by these URLs, one each.
    pub(super) async fn start(database: Database, hot: [&str; 3]) -> Self {
        Self::start_with(database, hot, "").await
    }

    /// The same with more in the nodes' configuration.
    pub(super) async fn start_with(database: Database, hot: [&str; 3], more: &str) -> Self {
        let size = Size::wanted();
        let mock = Arc::new(Mock::start(([127, 0, 0, 1], 0).into()).await.expect("a mock provider"));
        let node = |hot: &str| {
            // Their addresses stay the same when they are started again.
            Setup::new()
                .providers(&mock.base_url(), &[("mock", size.model)])
                .more(more)
                .listen(&format!("127.0.0.1:{}", free_port()))
                .environment("THREADMILL_HOT_URL", hot)
                .environment("THREADMILL_STORE_URL", &database.url())
                .start()
        };
        let nodes: Vec<_> = hot.iter().map(|hot| node(hot)).collect();
        let recorder = Arc::new(Recorder::new());
        let (talks, streams) = (Vec::new(), Vec::new());
        let mut world = Self { size, nodes, database, recorder, talks, streams, _mock: mock };
        for number in 0..size.writers.div_ceil(2) {
            let thread = world.thread(&format!("talk-{number}")).await;
            world.talks.push(thread);
        }
        for number in 0..size.runs {
            let thread = world.thread(&format!("runs-{number}")).await;
            world.streams.push(thread);
        }
        world
    }

    async fn thread(&self, id: &str) -> Thread {
        let api = self.nodes[0].api("ada");
        api.post("/threads", json!({"id": id, "title": id})).await;
        let window = api.get(&format!("/threads/{id}/messages")).await;
        Thread { id: id.into(), branch: BranchId::parse(&string(&window["branch"])).expect("a branch") }
    }

    /// A user at every node.
    pub(super) fn apis(&self) -> Vec<Api> {
        self.nodes.iter().map(|node| node.api("ada")).collect()
    }

    /// Where the log of every thread is.
    pub(super) async fn heads(&self) -> Vec<(String, u64)> {
        let rows = self.database.rows("SELECT id, seq FROM threadmill.threads ORDER BY id").await;
        rows.into_iter().map(|row| (row[0].clone(), number(&row[1]))).collect()
    }

    /// Adds the durable log to the history, and what is kept.
    pub(super) async fn keep(&self) {
        let sql = "SELECT t.id, c.seq, c.at, encode(c.record, 'hex') FROM threadmill.changes c
            JOIN threadmill.threads t ON t.num = c.thread ORDER BY t.id, c.seq";
        for row in self.database.rows(sql).await {
            let record: Record = from_cbor(&bytes(&row[3])).expect("a record");
            let (thread, seq, at) = (row[0].clone(), number(&row[1]), self.recorder.moment(number(&row[2])));
            let record = history::Record::of(&record.change);
            self.recorder.add(Entry::Logged(Logged { thread, seq, at, record }));
        }
        let api = self.nodes[0].api("ada");
        for thread in self.talks.iter().chain(&self.streams) {
            for message in api.branch(&thread.id, Some(thread.branch.as_str())).await {
                let body = Body {
                    message: string(&message["id"]),
                    rev: message["rev"].as_u64().expect("a revision"),
                    text: crate::api::text_of(&message),
                    streaming: message["status"] == "streaming",
                    removed: message["status"] == "removed",
                };
                self.recorder.add(Entry::Kept { thread: thread.id.clone(), body });
            }
        }
    }
}

fn number(text: &str) -> u64 {
    text.parse().expect("a number")
}

fn bytes(hex: &str) -> Vec<u8> {
    let digits = hex.as_bytes().chunks(2).map(|pair| std::str::from_utf8(pair).expect("digits"));
    digits.map(|pair| u8::from_str_radix(pair, 16).expect("digits")).collect()
}
