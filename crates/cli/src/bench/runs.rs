//! `threadmill bench runs`: many runs at once, from the provider's token to the reader's frame.
//!
//! The provider is a `mock-provider`, which remembers when it sent which token. Each run has a reader of its own; its
//! text is compared with the mock's, token by token, and with what the server keeps.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};
use threadmill_client::{Events, Http, Method, mint};
use threadmill_proto::ThreadId;

use super::stats::{Stats, print};
use super::wal::Wal;
use crate::connect::{Target, strict};

/// A run that says nothing for this long has hung.
const PATIENCE: Duration = Duration::from_secs(60);
/// Runs of one measurement begin within this time, not all in the same millisecond.
const SPREAD: Duration = Duration::from_secs(1);

/// First-token latency, commit wait and bytes of write-ahead log a token.
#[derive(Debug, Args)]
#[command(after_help = "The server's configuration names the mock as its provider:\n  [[providers]]\n  \
    kind = \"openai\"\n  name = \"mock\"\n  base_url = \"http://127.0.0.1:7431/v1\"\n  \
    model = \"mock,tokens=150,rate=30,jitter=0.5\"\n\nExample:\n  mock-provider --listen 127.0.0.1:7431 &\n  \
    threadmill bench runs --url http://127.0.0.1:7430 --mock http://127.0.0.1:7431 --runs 1,50,500 --data ./data")]
pub(crate) struct Runs {
    #[command(flatten)]
    target: Target,
    /// The mock provider
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7431")]
    mock: String,
    /// The provider's name in the server's configuration [default: the server's default]
    #[arg(long, value_name = "NAME")]
    provider: Option<String>,
    /// Runs at a time, one measurement each
    #[arg(long, value_delimiter = ',', default_values_t = [1, 50, 500])]
    runs: Vec<usize>,
    /// The server's data directory, to count its write-ahead log
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

struct Server {
    http: Http,
    mock: Http,
    provider: Option<String>,
}

/// What one run's reader saw, in microseconds of the Unix epoch: both ends of a latency are read from one clock.
struct Seen {
    asked: u64,
    /// After how many bytes of text, and when.
    pieces: Vec<(usize, u64)>,
    text: String,
}

#[allow(clippy::disallowed_methods, reason = "it is compared with the mock's clock, in another process")]
fn now_micros() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

impl Server {
    /// The tokens the mock sent for a question, with their times.
    async fn sent(&self, question: &str) -> anyhow::Result<Vec<(u64, String)>> {
        let value = self.mock.call(Method::GET, &format!("/sent?question={question}"), None).await;
        let value = value.context("the mock does not answer")?;
        let token = |row: &Value| Some((row.get(0)?.as_u64()?, row.get(1)?.as_str()?.to_owned()));
        let rows = value.get("tokens").and_then(Value::as_array).context("no tokens in the mock's answer")?;
        rows.iter().map(token).collect::<Option<_>>().context("a token of another shape")
    }

    /// Tokens the mock has sent since it started.
    async fn tokens(&self) -> anyhow::Result<u64> {
        let value = self.mock.call(Method::GET, "/counters", None).await.context("the mock does not answer")?;
        value.get("tokens").and_then(Value::as_u64).context("no tokens in the mock's answer")
    }

    /// Follows a thread of its own, asks, and reads until the run has ended.
    async fn run(&self, question: &str, delay: Duration, steady: &Steady) -> anyhow::Result<Seen> {
        let thread = mint();
        self.http.call(Method::POST, "/threads", Some(json!({"id": thread, "title": question}))).await?;
        let mut events = self.http.events(&ThreadId::parse(&thread)?).await?;
        let opening = next(&mut events).await?;
        ensure!(opening.get("cursor").is_some(), "the stream does not open with a window");
        tokio::time::sleep(delay).await;
        let asked = now_micros();
        let run = self.provider.as_ref().map_or(json!(true), |provider| json!({"provider": provider}));
        let body = json!({"parts": [{"type": "text", "text": question}], "run": run});
        let answer = self.http.call(Method::POST, &format!("/threads/{thread}/messages"), Some(body)).await?;
        let message = answer.pointer("/runMessage/id").and_then(Value::as_str).context("no run was started")?;
        let mut seen = Seen { asked, pieces: Vec::new(), text: String::new() };
        loop {
            let event = next(&mut events).await?;
            let chunks = event.get("chunks").and_then(Value::as_array);
            if let Some(chunks) = chunks {
                let at = now_micros();
                for chunk in chunks.iter().filter(|chunk| chunk.get("type") == Some(&json!("text-delta"))) {
                    seen.text += chunk.get("delta").and_then(Value::as_str).unwrap_or_default();
                }
                if seen.pieces.is_empty() {
                    steady.began(self).await?;
                }
                seen.pieces.push((seen.text.len(), at));
            }
            if event.pointer("/change/type") == Some(&json!("run-ended")) {
                steady.ended(self).await?;
                ensure!(event.pointer("/change/outcome") == Some(&json!("complete")), "a run failed: {event}");
                break;
            }
        }
        let kept = self.http.call(Method::GET, &format!("/threads/{thread}/messages/{message}"), None).await?;
        let kept = kept.pointer("/message/parts/0/text").and_then(Value::as_str);
        ensure!(kept == Some(&seen.text), "the server keeps another text than it showed");
        self.http.call(Method::DELETE, &format!("/threads/{thread}"), None).await?;
        Ok(seen)
    }
}

/// The time when every run streams: from the last run's first text to the first run's end. What starting and ending
/// runs writes would otherwise count as written for tokens.
struct Steady {
    runs: usize,
    wal: Option<Wal>,
    begun: AtomicUsize,
    ended: AtomicUsize,
    /// Log bytes and tokens at both ends.
    marks: Mutex<Vec<(u64, u64)>>,
}

impl Steady {
    fn new(runs: usize, wal: Option<Wal>) -> Self {
        Self { runs, wal, begun: AtomicUsize::new(0), ended: AtomicUsize::new(0), marks: Mutex::default() }
    }

    async fn began(&self, server: &Server) -> anyhow::Result<()> {
        if self.begun.fetch_add(1, Ordering::SeqCst) + 1 == self.runs { self.mark(server).await } else { Ok(()) }
    }

    async fn ended(&self, server: &Server) -> anyhow::Result<()> {
        if self.ended.fetch_add(1, Ordering::SeqCst) == 0 { self.mark(server).await } else { Ok(()) }
    }

    async fn mark(&self, server: &Server) -> anyhow::Result<()> {
        let Some(wal) = &self.wal else { return Ok(()) };
        let mark = (wal.bytes(), server.tokens().await?);
        self.marks.lock().unwrap_or_else(PoisonError::into_inner).push(mark);
        Ok(())
    }

    /// Log bytes a token. `None` if a run ended before the last one began.
    fn bytes_a_token(&self) -> Option<u64> {
        let marks = self.marks.lock().unwrap_or_else(PoisonError::into_inner);
        let [(before, from), (after, to)] = marks[..] else { return None };
        (after - before).checked_div(to.checked_sub(from)?)
    }
}

/// What the next event says.
async fn next(events: &mut Events) -> anyhow::Result<Value> {
    loop {
        let event = tokio::time::timeout(PATIENCE, events.next()).await.context("a run hung")??;
        let event = event.context("the stream of events ended before the run")?;
        if !event.data().is_empty() {
            return Ok(serde_json::from_slice(event.data())?);
        }
    }
}

/// What one measurement found.
#[derive(Default)]
struct Found {
    first: Stats,
    waits: Stats,
}

impl Found {
    /// Adds a run, once its text is the mock's.
    fn add(&mut self, seen: &Seen, sent: &[(u64, String)]) -> anyhow::Result<()> {
        let whole: String = sent.iter().map(|(_, token)| token.as_str()).collect();
        ensure!(whole == seen.text, "the reader has another text than the provider sent");
        let first = seen.pieces.iter().find(|(length, _)| *length > 0).context("a run without text")?;
        self.first.add(Duration::from_micros(first.1.saturating_sub(seen.asked)));
        let (mut length, mut pieces) = (0, seen.pieces.iter());
        let mut piece = pieces.next().context("a run without text")?;
        for (at, token) in sent {
            length += token.len();
            while piece.0 < length {
                piece = pieces.next().context("a token that was not shown")?;
            }
            self.waits.add(Duration::from_micros(piece.1.saturating_sub(*at)));
        }
        Ok(())
    }
}

impl Runs {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let server = Arc::new(Server {
            http: self.target.http("bench")?,
            mock: strict(&self.mock, "bench")?,
            provider: self.provider.clone(),
        });
        let mut rows = Vec::new();
        for runs in &self.runs {
            rows.extend(self.measure(&server, *runs).await?);
        }
        let (timed, counted): (Vec<_>, Vec<_>) = rows.into_iter().partition(|row| row.get("p50Ms").is_some());
        print(&timed, self.json);
        for row in counted {
            match (self.json, row.get("what").and_then(Value::as_str), row.get("bytes").and_then(Value::as_f64)) {
                (false, Some(what), Some(bytes)) => println!("{what:<28} {bytes:>9.0}"),
                _ => println!("{row}"),
            }
        }
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(&self, server: &Arc<Server>, runs: usize) -> anyhow::Result<Vec<Value>> {
        let wal = self.data.as_deref().map(Wal::watch).transpose()?;
        let steady = Arc::new(Steady::new(runs, wal));
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for number in 0..runs {
            let (server, steady) = (Arc::clone(server), Arc::clone(&steady));
            let question = format!("bench-{runs}-{number}-{}", mint());
            let delay = SPREAD.mul_f64(fraction(number, runs));
            tasks.push(tokio::spawn(async move {
                let seen = server.run(&question, delay, &steady).await?;
                let sent = server.sent(&question).await?;
                anyhow::Ok((seen, sent))
            }));
        }
        let mut found = Found::default();
        for task in tasks {
            let (seen, sent) = task.await??;
            found.add(&seen, &sent)?;
        }
        let over = begun.elapsed();
        let mut rows = vec![
            found.first.row(&format!("{runs} runs, first token"), over),
            found.waits.row(&format!("{runs} runs, commit wait"), over),
        ];
        if let Some(bytes) = steady.bytes_a_token() {
            rows.push(json!({"what": format!("{runs} runs, log bytes a token"), "bytes": bytes}));
        }
        Ok(rows)
    }
}

#[allow(clippy::cast_precision_loss, reason = "a share of a second")]
fn fraction(number: usize, of: usize) -> f64 {
    number as f64 / of.max(1) as f64
}
