//! Two nodes over a hot tier: what crosses by it, before it goes away, meanwhile, and when it is back.

use std::time::Instant;

use serde_json::{Value, json};

use crate::api::{Api, string, text, text_of, until};
use crate::nodes::hot::{count, mode};
use crate::nodes::order::read_until;
use crate::nodes::{Cluster, switch};
use crate::postgres::Database;
use crate::reader::Reader;
use crate::socket::Socket;

/// What is done to a tier.
#[derive(Debug, Clone, Copy)]
pub(super) enum Fault {
    Gone,
    Back,
}

/// Somebody who watches a thread at a node.
pub(super) struct Watcher {
    socket: Socket,
    reader: Reader,
}

impl Watcher {
    async fn of(api: &Api, thread: &str) -> Self {
        let (mut socket, mut reader) = (Socket::open(api).await, Reader::default());
        socket.subscribe(1, thread).await;
        reader.take(&socket.frame().await);
        Self { socket, reader }
    }

    async fn until(&mut self, done: impl Fn(&Reader) -> bool) {
        read_until(&mut self.socket, &mut self.reader, done).await;
    }

    /// Reads on until a message is longer than it is now by so many bytes.
    pub(super) async fn more_of(&mut self, message: &str, bytes: usize) {
        let length = |reader: &Reader| reader.text(message).map_or(0, str::len);
        let want = length(&self.reader) + bytes;
        self.until(|reader| length(reader) >= want).await;
    }
}

/// Two nodes, a run that the first one writes, and who watches it at the second.
pub(super) struct Scene {
    pub(super) cluster: Cluster,
    pub(super) apis: [Api; 2],
    said: usize,
    words: Watcher,
    pub(super) stream: Watcher,
    run: String,
    pub(super) message: String,
}

/// A thread for words and windows.
pub(super) const WORDS: &str = "words";
/// One for a run.
const STREAM: &str = "stream";

impl Scene {
    pub(super) async fn start(hot: Vec<(&'static str, String)>) -> Self {
        let cluster = Cluster::start_told(Database::fresh().await, 2, hot).await;
        let apis = [cluster.api(0), cluster.api(1)];
        mode(&cluster, "full").await;
        apis[0].thread(WORDS).await;
        apis[0].thread(STREAM).await;
        let (words, stream) = (Watcher::of(&apis[1], WORDS).await, Watcher::of(&apis[1], STREAM).await);
        let (run, message) = apis[0].run(STREAM, "tell me", "slow").await;
        Self { cluster, apis, said: 0, words, stream, run, message }
    }

    async fn counted(&self, name: &str) -> u64 {
        count(&self.cluster.readyz(1).await.1, name)
    }

    /// What is said at one node is heard at the other, whose window has it, too.
    async fn word_crosses(&mut self) {
        for _ in 0..3 {
            self.said += 1;
            let id = format!("word-{}", self.said);
            let began = Instant::now();
            let (body, path) = (json!({"id": id, "parts": [text(&id)]}), format!("/threads/{WORDS}/messages"));
            let (_, ()) =
                tokio::join!(self.apis[0].post(&path, body), self.words.until(|reader| reader.text(&id).is_some()),);
            assert!(began.elapsed() < switch(), "it took {:?}", began.elapsed());
            let at_b = window(&self.apis[1]).await;
            assert_eq!(at_b["messages"].as_array().expect("messages").last().map(text_of), Some(id));
            assert_eq!(at_b, window(&self.apis[0]).await);
        }
    }

    /// What one node has read the other, which never did, finds in the tier.
    async fn windows_are_found(&self) {
        until("a window is found in the tier", async || {
            let body = json!({"parts": [text("to be read")]});
            self.apis[0].post(&format!("/threads/{WORDS}/messages"), body).await;
            let (read, before) = (window(&self.apis[0]).await, self.counted("pageHits").await);
            assert_eq!(window(&self.apis[1]).await, read);
            (self.counted("pageHits").await > before).then_some(())
        })
        .await;
    }

    /// What is written is read from the tier.
    pub(super) async fn streams_come_by(&mut self) {
        let before = self.counted("hits").await;
        until("the stream comes by the tier", async || (self.counted("hits").await > before).then_some(())).await;
        self.stream.more_of(&self.message, 50).await;
    }

    pub(super) async fn all_is_well(&mut self) {
        self.word_crosses().await;
        self.windows_are_found().await;
        self.streams_come_by().await;
    }

    /// The tier goes away and comes back, and nobody misses anything.
    pub(super) async fn outlives(&mut self, mut fault: impl AsyncFnMut(Fault)) {
        self.all_is_well().await;
        fault(Fault::Gone).await;
        let took = mode(&self.cluster, "degraded").await;
        assert!(took <= switch(), "the loss was noticed after {took:?}");
        self.word_crosses().await;
        self.stream.more_of(&self.message, 50).await;
        fault(Fault::Back).await;
        let back = mode(&self.cluster, "full").await;
        eprintln!("the loss was noticed after {took:?}, the return after {back:?}");
        self.all_is_well().await;
        self.ends().await;
    }

    /// The run is stopped at the other node than its own; what was seen of it, in order and without a gap, is what is kept.
    pub(super) async fn ends(&mut self) {
        let [a, b] = &self.apis;
        b.post(&format!("/runs/{}/stop", self.run), json!({})).await;
        self.stream.until(|reader| reader.cursor.runs.is_empty()).await;
        for api in [a, b] {
            assert_eq!(string(&api.ended(&self.run).await["outcome"]), "stopped");
            let kept = text_of(&api.message(STREAM, &self.message).await);
            assert_eq!(self.stream.reader.text(&self.message), Some(kept.as_str()));
        }
        for node in &self.cluster.nodes {
            let (lost, found) = (node.log().matches("mode degraded").count(), node.log().matches("mode full").count());
            assert_eq!(lost, found, "{}", node.log());
            assert!(lost <= 3, "out and back again and again: {}", node.log());
        }
    }
}

async fn window(api: &Api) -> Value {
    api.get(&format!("/threads/{WORDS}/messages?anchor=tip&before=50")).await
}
