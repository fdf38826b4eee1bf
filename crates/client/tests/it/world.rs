//! A server on the in-memory store, whose answers the test dictates token by token.

use std::ops::{Deref, DerefMut};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::StreamExt as _;
use futures_util::stream::unfold;
use reqwest::Method;
use threadmill_client::{Client, Http, Options, ThreadView, View};
use threadmill_engine::providers::{ChunkStream, Failure, Named, Prompt, Provider, ProviderError};
use threadmill_engine::{ContextPolicy, Engine, Providers};
use threadmill_proto::{Anchor, Chunk, Limits, MessageId, MessageStatus, ThreadId};
use threadmill_server::{Auth, Guard, HttpLimits, OpsSettings, serve};
use threadmill_store::MemoryStore;
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::task::JoinHandle;

use crate::wire::Wire;

/// Long enough for a loaded machine; nothing waits this long when all is well.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Says what the test says; the answer ends when its voice is dropped.
struct Dictated(Mutex<Option<UnboundedReceiver<Chunk>>>);

#[async_trait]
impl Provider for Dictated {
    async fn open(&self, _: Prompt) -> Result<ChunkStream, ProviderError> {
        let words = self.0.lock().expect("no test panics while it holds it").take();
        let words = words.ok_or_else(|| ProviderError::new(Failure::Failed, "one answer a test"))?;
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

/// A server and a wire to it.
pub(crate) struct Place {
    /// Calls that no cut reaches.
    pub(crate) direct: Http,
    pub(crate) wire: Wire,
    pub(crate) voice: Option<Voice>,
    pub(crate) engine: Arc<Engine>,
    server: JoinHandle<std::io::Result<()>>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.server.abort();
    }
}

impl Place {
    pub(crate) async fn new(auth: Auth) -> Self {
        Self::limited(auth, HttpLimits::DEFAULT).await
    }

    pub(crate) async fn limited(auth: Auth, limits: HttpLimits) -> Self {
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
        let guard = Guard::new(auth, Vec::new(), Vec::new(), limits);
        let server =
            tokio::spawn(serve(Arc::clone(&engine), guard, OpsSettings::default(), listener, std::future::pending()));
        Self { direct, wire, voice: Some(Voice(sender)), engine, server }
    }

    /// How a client is made that goes by the wire.
    pub(crate) fn options(&self) -> Options {
        Options::new(self.wire.url()).user("ada")
    }

    pub(crate) fn say(&self, text: &str) {
        self.voice.as_ref().expect("the answer has not ended").say(text);
    }

    /// What a thread says, message by message.
    pub(crate) async fn texts(&self, thread: &ThreadId) -> Vec<String> {
        let path = format!("/threads/{thread}/messages");
        let window = self.direct.call(Method::GET, &path, None).await.expect("a window");
        let texts = window["messages"].as_array().expect("messages").iter();
        texts.map(|message| message["parts"][0]["text"].as_str().unwrap_or_default().to_owned()).collect()
    }
}

/// A place and a client that is connected to it.
pub(crate) struct World {
    pub(crate) client: Client,
    place: Place,
}

impl Deref for World {
    type Target = Place;

    fn deref(&self) -> &Place {
        &self.place
    }
}

impl DerefMut for World {
    fn deref_mut(&mut self) -> &mut Place {
        &mut self.place
    }
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with(|options| options).await
    }

    pub(crate) async fn with(set: impl FnOnce(Options) -> Options) -> Self {
        let place = Place::new(Auth::Dev).await;
        let client = set(place.options()).connect().expect("a client");
        client.live(PATIENCE).await.expect("a connection");
        Self { client, place }
    }

    /// A thread of `count` messages, open at its tip.
    pub(crate) async fn thread_of(&self, count: usize) -> (ThreadId, ThreadView) {
        thread_of(&self.client, count).await
    }
}

/// The same, for any client.
pub(crate) async fn thread_of(client: &Client, count: usize) -> (ThreadId, ThreadView) {
    let made = client.http().create_thread("message 0", None).await.expect("a thread");
    for number in 1..count {
        client.http().send(&made.thread, &format!("message {number}"), None).await.expect("a message");
    }
    let view = client.open(made.thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| view.head().total == count as u64).await.expect("the thread opens");
    (made.thread, view)
}

/// An answer to a new message of the thread, said word by word while `disturb` does its worst; no word may be lost or
/// come twice.
pub(crate) async fn answer_through(
    place: &mut Place,
    client: &Client,
    (thread, view): (&ThreadId, &ThreadView),
    words: u32,
    mut disturb: impl AsyncFnMut(&Place, u32),
) {
    let sent = begin(client, thread, view).await;
    let mut said = String::new();
    for number in 0..words {
        let word = format!("word {number} ");
        place.say(&word);
        said += &word;
        disturb(place, number).await;
        if number % 4 == 0 {
            view.until(PATIENCE, |view| view.text(&sent).as_ref() == Some(&said)).await.expect("every word so far");
        }
    }
    place.voice.take();
    let ended = |view: &View| view.rows().last().is_some_and(|row| row.message.status == MessageStatus::Complete);
    view.until(PATIENCE, ended).await.expect("the end");
    assert_eq!(view.text(&sent).as_ref(), Some(&said));
}

/// Begins an answer; the message that is being written.
async fn begin(client: &Client, thread: &ThreadId, view: &ThreadView) -> MessageId {
    let before = view.with(|view| view.head().total);
    client.http().send(thread, "go on", Some("")).await.expect("a message");
    let streams =
        |view: &View| view.head().total == before + 2 && view.rows().last().is_some_and(|row| row.run.is_some());
    view.until(PATIENCE, streams).await.expect("the run");
    view.with(|view| view.rows().last().map(|row| row.message.id.clone())).expect("its row")
}
