//! `threadmill bench append`: writes from many clients, then reads back that every acknowledged message is there.

mod bare;
mod direct;

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};
use threadmill_client::{Http, Method, mint};

use super::control::control;
use super::stats::{Stats, compare, print};
use crate::connect::{Target, strict};
use crate::sample;

/// Turns that the server and the control take.
const ROUNDS: u32 = 4;

/// Each client writes to a thread of its own, one message after the other; the threads are deleted afterwards. Beside that
/// it sends the same bodies to a handler that does nothing, in a process of its own. With --direct it writes to an embedded
/// store of its own instead, and then the same rows to the same SQLite, as many in a commit as wait.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  threadmill bench append --url http://127.0.0.1:7430 --clients 50 --seconds 10\n  \
    threadmill bench append --direct --clients 50 --seconds 5 --json"
)]
pub(crate) struct Append {
    #[command(flatten)]
    target: Target,
    /// Clients at a time
    #[arg(long, default_value_t = 50)]
    clients: usize,
    /// How long to write
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// Measure the embedded store itself, without a server
    #[arg(long, conflicts_with_all = ["url", "user"])]
    direct: bool,
    /// With --direct: the directory in which both get one for their data [default: that for temporary files]
    #[arg(long, value_name = "DIR", requires = "direct")]
    disk: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// One client and what it wrote.
struct Writer {
    http: Http,
    thread: String,
    texts: Arc<Vec<String>>,
    /// Numbers another message for each client.
    number: usize,
    written: u64,
    stats: Stats,
}

impl Writer {
    /// Makes its thread.
    async fn begin(http: &Http, texts: &Arc<Vec<String>>, number: usize) -> anyhow::Result<Self> {
        let thread = mint();
        http.call(Method::POST, "/threads", Some(json!({"id": thread, "title": "bench"}))).await?;
        let (http, texts) = (http.clone(), Arc::clone(texts));
        Ok(Self { http, thread, texts, number, written: 0, stats: Stats::default() })
    }

    async fn write(mut self, until: Instant) -> anyhow::Result<Self> {
        let path = format!("/threads/{}/messages", self.thread);
        while Instant::now() < until {
            let text = sample::text(&self.texts, self.number, self.written);
            let body = json!({"id": format!("a-{}", self.written), "parts": [{"type": "text", "text": text}]});
            let sent = Instant::now();
            self.http.call_text(Method::POST, &path, Some(body.to_string())).await?;
            self.stats.add(sent.elapsed());
            self.written += 1;
        }
        Ok(self)
    }

    /// Every message that was acknowledged is there, and then no more.
    async fn read_back(&self) -> anyhow::Result<()> {
        let (thread, mut depth) = (&self.thread, 0);
        while depth < self.written {
            let path = format!("/threads/{thread}/messages?anchor=depth:{depth}&before=0&after=200");
            let page = self.http.call(Method::GET, &path, None).await?;
            let messages = page.get("messages").and_then(Value::as_array).context("no messages in the answer")?;
            ensure!(!messages.is_empty(), "acknowledged message {depth} of {thread} is not there");
            for message in messages {
                let id = message.get("id").and_then(Value::as_str).unwrap_or_default();
                ensure!(id == format!("a-{depth}"), "{id} where a-{depth} was acknowledged");
                depth += 1;
            }
        }
        self.http.call(Method::DELETE, &format!("/threads/{thread}"), None).await?;
        Ok(())
    }
}

async fn writers(http: &Http, texts: &Arc<Vec<String>>, clients: usize) -> anyhow::Result<Vec<Writer>> {
    let mut writers = Vec::new();
    for number in 0..clients {
        writers.push(Writer::begin(http, texts, number).await?);
    }
    Ok(writers)
}

/// Has all of them write for a while; how long it was.
async fn together(writers: Vec<Writer>, time: Duration) -> anyhow::Result<(Vec<Writer>, Duration)> {
    let begun = Instant::now();
    let tasks: Vec<_> = writers.into_iter().map(|writer| tokio::spawn(writer.write(begun + time))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok((done, begun.elapsed()))
}

impl Append {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.clients > 0 && self.seconds > 0, "nothing is measured of nothing");
        let texts = Arc::new(sample::texts());
        let rows = if self.direct {
            direct::measure(self.disk.as_deref(), &texts, self.clients, Duration::from_secs(self.seconds.into()))
                .await?
        } else {
            self.over_http(&texts).await?
        };
        print(&rows, self.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn over_http(&self, texts: &Arc<Vec<String>>) -> anyhow::Result<Vec<Value>> {
        let control = control(None)?;
        let mut ours = writers(&self.target.http("bench")?, texts, self.clients).await?;
        let mut theirs = writers(&strict(&control.url, "bench")?, texts, self.clients).await?;
        let (mut over, mut control_over) = (Duration::ZERO, Duration::ZERO);
        let turn = Duration::from_secs(self.seconds.into()) / ROUNDS;
        for _ in 0..ROUNDS {
            let took;
            (ours, took) = together(ours, turn).await?;
            over += took;
            let took;
            (theirs, took) = together(theirs, turn).await?;
            control_over += took;
        }
        let (mut stats, mut nothing) = (Stats::default(), Stats::default());
        for writer in ours {
            writer.read_back().await?;
            stats.merge(writer.stats);
        }
        theirs.into_iter().for_each(|writer| nothing.merge(writer.stats));
        let mut row = stats.row(&format!("append, {} clients", self.clients), over);
        let control = nothing.row("  POST to a handler that does nothing", control_over);
        compare(&mut row, &control);
        Ok(vec![row, control])
    }
}
