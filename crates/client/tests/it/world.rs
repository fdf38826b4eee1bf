//! A server on the in-memory store, whose answers the test dictates token by token.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use threadmill_client::{Client, Http, ThreadView};
use threadmill_proto::{Anchor, Chunk, Limits, ThreadId};
use threadmill_server::engine::provider::{ChunkStream, Named, Prompt, Provider, ProviderError};
use threadmill_server::engine::{ContextPolicy, Engine, Providers};
use threadmill_server::http::{Guard, serve};
use threadmill_store::MemoryStore;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::cut::Wire;

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Says what the test says; the answer ends when its voice is dropped.
struct Dictated(Mutex<Option<UnboundedReceiver<Chunk>>>);

#[async_trait]
impl Provider for Dictated {
    async fn open(&self, _: Prompt) -> Result<ChunkStream, ProviderError> {
        let words = self.0.lock().expect("no test panics while it holds it").take();
        let words = words.ok_or_else(|| ProviderError("one answer a test".into()))?;
        Ok(unfold(words, |mut words| async { words.recv().await.map(|chunk| (Ok(chunk), words)) }).boxed())
    }
}

/// What the model says next.
pub(crate) struct Voice(UnboundedSender<Chunk>);

impl Voice {
    pub(crate) fn say(&self, text: &str) {
        self.0.send(Chunk::TextDelta { id: "0".into(), delta: text.into() }).expect("the answer is being read");
    }
}

pub(crate) struct World {
    pub(crate) client: Client,
    /// Calls that no cut reaches.
    pub(crate) direct: Http,
    pub(crate) wire: Wire,
    pub(crate) voice: Option<Voice>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for World {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        let (sender, words) = unbounded_channel();
        let provider = Arc::new(Dictated(Mutex::new(Some(words))));
        let named = Named::new("dictated", "Dictated", "none", None, provider);
        let providers = Providers::new(vec![named]).expect("one provider");
        let context = ContextPolicy { tokens: 1_000, messages: 50, system: None };
        let store = Arc::new(MemoryStore::new());
        let engine = Engine::start(store, providers, Limits::DEFAULT, context).await.expect("an engine");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let there = listener.local_addr().expect("an address");
        let wire = Wire::to(there).await;
        let direct = Http::new(&format!("http://{there}"), Some("ada")).expect("a client");
        let server = tokio::spawn(serve(engine, Guard::default(), listener, std::future::pending()));
        let client = Client::connect(&wire.url(), Some("ada")).expect("a client");
        client.live(PATIENCE).await.expect("a connection");
        Self { client, direct, wire, voice: Some(Voice(sender)), server }
    }

    pub(crate) fn say(&self, text: &str) {
        self.voice.as_ref().expect("the answer has not ended").say(text);
    }

    /// A thread of `count` messages, open at its tip.
    pub(crate) async fn thread_of(&self, count: usize) -> (ThreadId, ThreadView) {
        let made = self.client.http().create_thread("message 0", None).await.expect("a thread");
        for number in 1..count {
            self.client.http().send(&made.thread, &format!("message {number}"), None).await.expect("a message");
        }
        let view = self.client.open(made.thread.clone(), None, Anchor::Tip);
        view.until(PATIENCE, |view| view.head().total == count as u64).await.expect("the thread opens");
        (made.thread, view)
    }
}
