//! A provider that sends the bytes a test says, and an engine that asks it.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use threadmill_engine::providers::openai::{Endpoint, OpenAi};
use threadmill_engine::providers::{Named, Providers};
use threadmill_engine::{AppendRequest, ContextPolicy, CreateRequest, Engine, NewRun, Terms, WhenBusy};
use threadmill_proto::message::Body;
use threadmill_proto::{
    Limits, Message, MessageId, Outcome, Part, Role, RunInfo, RunStatus, Scope, TenantId, ThreadId, UserId,
};
use threadmill_store::{DurableStore, IfMoved, MemoryStore};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// In nothing that leaves the server may this be seen.
pub(crate) const KEY: &str = "sk-canary-7f3a9b51e2";
/// Nothing waits this long when all is well.
const PATIENCE: Duration = Duration::from_secs(60);

/// What is sent: a head, pieces of a body, and whether the last is repeated for as long as somebody reads.
#[derive(Debug, Clone)]
pub(crate) struct Script {
    pub(crate) status: &'static str,
    /// What its header says of its encoding.
    pub(crate) encoding: Option<&'static str>,
    pub(crate) pieces: Vec<Vec<u8>>,
    pub(crate) endless: bool,
}

impl Script {
    /// A body that is sent whole.
    pub(crate) fn body(body: impl Into<Vec<u8>>) -> Self {
        Self { status: "200 OK", encoding: None, pieces: vec![body.into()], endless: false }
    }

    /// Events with this data.
    pub(crate) fn events<D: AsRef<str>>(data: &[D]) -> Self {
        Self::body(data.iter().map(|data| format!("data: {}\n\n", data.as_ref())).collect::<String>())
    }
}

/// The scripts of the questions to come, and the requests so far.
#[derive(Debug, Default)]
struct Shared {
    scripts: Mutex<Vec<Script>>,
    requests: Mutex<Vec<Value>>,
}

async fn answer(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    let mut request = Vec::new();
    let head = loop {
        let mut piece = [0; 4096];
        let read = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..read]);
        if let Some(end) = request.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
            break end + 4;
        }
    };
    let words = String::from_utf8_lossy(&request[..head]).to_lowercase();
    let length = words.lines().find_map(|line| line.strip_prefix("content-length:")?.trim().parse().ok());
    while request.len() < head + length.unwrap_or(0) {
        let mut piece = [0; 65536];
        let read = stream.read(&mut piece).await?;
        request.extend_from_slice(&piece[..read]);
    }
    let asked = serde_json::from_slice(&request[head..]).unwrap_or_default();
    shared.requests.lock().expect("no test panics with it").push(asked);
    let script = shared.scripts.lock().expect("no test panics with it").remove(0);
    let encoding = script.encoding.map(|name| format!("Content-Encoding: {name}\r\n")).unwrap_or_default();
    let status = script.status;
    let head = format!("HTTP/1.1 {status}\r\nContent-Type: text/event-stream\r\n{encoding}Connection: close\r\n\r\n");
    stream.write_all(head.as_bytes()).await?;
    for piece in &script.pieces {
        stream.write_all(piece).await?;
        stream.flush().await?;
    }
    if script.endless {
        // Ends when the server hangs up.
        loop {
            stream.write_all(script.pieces.last().map_or(b"x", Vec::as_slice)).await?;
        }
    }
    stream.shutdown().await
}

/// An engine, its store in memory and its provider.
pub(crate) struct World {
    pub(crate) engine: Arc<Engine>,
    pub(crate) store: Arc<dyn DurableStore>,
    pub(crate) scope: Scope,
    shared: Arc<Shared>,
    threads: Mutex<u32>,
}

impl World {
    pub(crate) async fn new() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let shared = Arc::new(Shared::default());
        let served = Arc::clone(&shared);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let shared = Arc::clone(&served);
                // A server that hangs up is what some tests want.
                tokio::spawn(async move { answer(stream, &shared).await });
            }
        });
        let endpoint = Endpoint {
            base_url: format!("http://{address}/v1"),
            key: Some(KEY.into()),
            model: "m".into(),
            max_tokens: None,
        };
        let provider = OpenAi::new(endpoint).expect("a client");
        let providers = Providers::new(vec![Named::new("p", "P", "m", None, provider)]).expect("one provider");
        let store: Arc<dyn DurableStore> = Arc::new(MemoryStore::new());
        let engine = Engine::start(Arc::clone(&store), providers, Limits::DEFAULT, ContextPolicy::default());
        let engine = engine.await.expect("an engine");
        let scope =
            Scope { tenant: TenantId::parse("default").expect("an id"), user: UserId::parse("ada").expect("an id") };
        Self { engine, store, scope, shared, threads: Mutex::new(0) }
    }

    pub(crate) fn requests(&self) -> Vec<Value> {
        self.shared.requests.lock().expect("no test panics with it").clone()
    }

    /// Asks in a thread of its own and waits for the answer's end.
    pub(crate) async fn ask(&self, script: Script) -> Answered {
        let thread = {
            let mut threads = self.threads.lock().expect("no test panics with it");
            *threads += 1;
            ThreadId::parse(&format!("t{threads}")).expect("an id")
        };
        let request = CreateRequest { id: Some(thread.clone()), ..CreateRequest::default() };
        self.engine.threads().create(&self.scope, Terms::default(), request).await.expect("a thread");
        self.ask_in(&thread, vec![Part::text("why")], script).await
    }

    /// Asks in a thread and waits for the answer's end.
    pub(crate) async fn ask_in(&self, thread: &ThreadId, parts: Vec<Part>, script: Script) -> Answered {
        // One that nobody asked for is not the next one's answer.
        *self.shared.scripts.lock().expect("no test panics with it") = vec![script];
        let message = AppendRequest {
            id: None,
            role: Role::User,
            body: Body { parts, metadata: None },
            branch: None,
            after: None,
            if_moved: IfMoved::Append,
            when_busy: WhenBusy::Refuse,
        };
        let written =
            self.engine.threads().append(&self.scope, Terms::default(), thread, message, Some(NewRun::default()));
        let run = written.await.expect("it is asked").run.expect("a run");
        let ended = tokio::time::timeout(PATIENCE, self.ended(&run)).await.expect("the run ends");
        let message = self.message(thread, &run.message).await;
        Answered { run: ended, message }
    }

    async fn ended(&self, run: &RunInfo) -> RunInfo {
        loop {
            let now = self.store.run(&self.scope, &run.id).await.expect("a run").info;
            if now.status == RunStatus::Ended {
                return now;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    pub(crate) async fn message(&self, thread: &ThreadId, id: &MessageId) -> Message {
        self.store.message(&self.scope, thread, id).await.expect("a message")
    }
}

/// A question that was answered, or not.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) run: RunInfo,
    pub(crate) message: Message,
}

impl Answered {
    pub(crate) fn metadata(&self) -> Value {
        let text = self.message.metadata.as_ref().map_or("{}", |text| text.0.as_str());
        serde_json::from_str(text).expect("JSON")
    }

    /// The text, how the run ended and the word for why.
    pub(crate) fn told(&self) -> (String, Outcome, String) {
        let metadata = self.metadata();
        let code = metadata["error"]["code"].as_str().or_else(|| metadata["finishReason"].as_str()).unwrap_or_default();
        (self.message.text(), self.run.outcome.expect("it has ended"), code.to_owned())
    }
}
