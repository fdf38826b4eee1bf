//! `threadmill bench soak`: clients that come, work and go for minutes, and whether the server keeps anything of them.
//!
//! A server of this binary runs in a process of its own, over a model in this one. Each client opens, makes a thread or
//! comes back to its last one, asks, follows the answer, stops every third one on the way, deletes every second thread, and
//! leaves. Every five seconds the server is asked what it holds. After the warming-up, in which caches fill, a line is
//! fitted to each figure (`slope`); what fails the bench is a slope above the bound that is stated, and how sure it is of it
//! (95 %) is said beside it: that depends on how evenly the machine lets the clients work.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use serde_json::{Value, json};
use threadmill_client::{Answered, NewMessage, Options, View};
use threadmill_proto::{Anchor, MessageStatus, Role, ThreadId};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::model::{Model, Pace};
use super::rig::Server;
use super::slope::{Slope, slope};
use super::stats::round;

/// Between two looks at the server.
const LOOK: Duration = Duration::from_secs(5);
/// Samples that are averaged: a few comings and goings of a client.
const BLOCK: Duration = Duration::from_secs(30);
/// A step of a client that takes longer hangs.
const PATIENCE: Duration = Duration::from_secs(60);
/// Answers take two seconds and a half.
const ANSWER: Pace = Pace { tokens: 50, rate: 20 };

/// Figures of the server, and by how much a minute they may grow at most.
const WATCHED: [(&str, &str, f64, f64); 3] = [
    ("memory", "process_resident_memory_bytes", 1.0 / 1_048_576.0, 1.0),
    ("descriptors", "process_open_fds", 1.0, 2.0),
    ("tasks", "threadmill_runtime_tasks", 1.0, 6.0),
];

/// Fails if memory grows by more than 1 MiB a minute, descriptors by more than 2 or tasks by more than 6.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  threadmill bench soak\n  threadmill bench soak --clients 20 --seconds 120 --warm-seconds 30\n\n\
    It starts a server of its own and takes no --url."
)]
pub(crate) struct Soak {
    /// Clients at a time
    #[arg(long, default_value_t = 200)]
    clients: usize,
    /// How long it takes after the warming-up
    #[arg(long, default_value_t = 600)]
    seconds: u64,
    /// How long it is not judged at first
    #[arg(long, default_value_t = 120)]
    warm_seconds: u64,
    /// The directory in which the server gets one for its data [default: that for temporary files]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// What clients did.
#[derive(Debug, Default)]
struct Done {
    visits: AtomicU64,
    answers: AtomicU64,
    stops: AtomicU64,
}

/// A look at the server.
struct Look {
    at: Duration,
    figures: [f64; WATCHED.len()],
}

impl Soak {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let model = Model::start().await?;
        model.set(ANSWER);
        let server = Server::start(self.disk.as_deref(), &model.config())?;
        let url = server.process.url.clone();
        let (done, begun) = (Arc::new(Done::default()), Instant::now());
        let mut clients = JoinSet::new();
        for number in 0..self.clients {
            clients.spawn(client(url.clone(), number, self.clients, Arc::clone(&done)));
        }
        let until = Duration::from_secs(self.warm_seconds + self.seconds);
        let mut looks = Vec::new();
        while begun.elapsed() < until {
            tokio::select! {
                ended = clients.join_next() => {
                    let ended = ended.context("there are no clients")?;
                    return ended?.map(|()| ExitCode::FAILURE).context("a client");
                }
                () = sleep(LOOK) => looks.push(Look { at: begun.elapsed(), figures: figures(&url).await? }),
            }
        }
        clients.shutdown().await;
        let judged: Vec<_> = looks.iter().filter(|look| look.at >= Duration::from_secs(self.warm_seconds)).collect();
        let rows = rows(&judged)?;
        self.print(&rows, &done);
        Ok(if rows.iter().all(|row| row["held"] == true) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }

    fn print(&self, rows: &[Value], done: &Done) {
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        let work = json!({
            "clients": self.clients, "visits": count(&done.visits), "answers": count(&done.answers),
            "stopped": count(&done.stops),
        });
        if self.json {
            println!("{work}");
            rows.iter().for_each(|row| println!("{row}"));
            return;
        }
        println!(
            "{} clients, {} visits, {} answers, {} of them stopped",
            work["clients"], work["visits"], work["answers"], work["stopped"]
        );
        for row in rows {
            let word = if row["held"] == true { "held" } else { "GROWS" };
            println!(
                "{:<12} {word}: mean {}, {} a minute (95 %: {} to {}; may be {})",
                row["what"].as_str().unwrap_or_default(),
                row["mean"],
                row["aMinute"],
                row["least"],
                row["most"],
                row["bound"]
            );
        }
    }
}

fn rows(looks: &[&Look]) -> anyhow::Result<Vec<Value>> {
    WATCHED
        .iter()
        .enumerate()
        .map(|(nth, (what, _, scale, bound))| {
            let samples: Vec<_> = looks.iter().map(|look| (look.at, look.figures[nth] * scale)).collect();
            let Slope { mean, a_minute, least, most } =
                slope(&samples, BLOCK).context("it was too short to say anything: two minutes at least")?;
            Ok(json!({
                "what": what, "mean": round(mean), "aMinute": round(a_minute), "least": round(least),
                "most": round(most), "bound": bound, "held": a_minute <= *bound,
            }))
        })
        .collect()
}

/// What the server says that it holds.
async fn figures(url: &str) -> anyhow::Result<[f64; WATCHED.len()]> {
    let asked = async { reqwest::get(format!("{url}/metrics")).await?.error_for_status()?.text().await };
    let text = timeout(PATIENCE, asked).await.context("the server says nothing of itself")??;
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        line.and_then(|value| value.trim().parse().ok()).with_context(|| format!("the server does not say {name}"))
    };
    let mut all = [0.0; WATCHED.len()];
    for (value, (_, name, _, _)) in all.iter_mut().zip(WATCHED) {
        *value = figure(name)?;
    }
    Ok(all)
}

/// Comes and goes until it is aborted.
async fn client(url: String, number: usize, of: usize, done: Arc<Done>) -> anyhow::Result<()> {
    // Not all at once.
    sleep(Duration::from_millis(5000 * number as u64 / of as u64)).await;
    let mut last = None;
    for visit in 0.. {
        last = timeout(PATIENCE, call(&url, number, visit, last.take(), &done))
            .await
            .context("a visit does not end")?
            .with_context(|| format!("visit {visit} of client {number}"))?;
        done.visits.fetch_add(1, Ordering::Relaxed);
        // No two clients keep step for long.
        sleep(Duration::from_millis(200 + (number as u64 * 37 + visit * 101) % 800)).await;
    }
    Ok(())
}

/// What stands last in a thread.
fn last_of(view: &View) -> Option<(Role, MessageStatus)> {
    view.rows().last().map(|row| (row.message.role, row.message.status))
}

/// One visit. Returns the thread to come back to, if it is still there.
async fn call(
    url: &str,
    number: usize,
    visit: u64,
    last: Option<ThreadId>,
    done: &Done,
) -> anyhow::Result<Option<ThreadId>> {
    let client = Options::new(url).user(format!("soak-{number}")).connect()?;
    client.live(PATIENCE).await?;
    client.follow_threads();
    let question = || NewMessage::text(format!("visit {visit}")).answered(Answered::ByDefault);
    let sent = match last {
        Some(thread) => client.send(thread, question()).await?,
        None => client.create_thread(Some("soak"), question()).await?,
    };
    let (thread, run) = (sent.thread.clone(), sent.run.clone().context("a question without an answer")?);
    sent.acknowledged().await?;
    let view = client.open(thread.clone(), None, Anchor::Tip);
    view.until(PATIENCE, |view| last_of(view).is_some_and(|(role, _)| role == Role::Assistant)).await?;
    // One that has ended meanwhile is stopped by nobody.
    if visit % 3 == number as u64 % 3 && client.stop(run).await?.acknowledged().await.is_ok() {
        done.stops.fetch_add(1, Ordering::Relaxed);
    }
    view.until(PATIENCE, |view| last_of(view).is_some_and(|(_, status)| status != MessageStatus::Streaming)).await?;
    let end = view.with(last_of).map(|(_, status)| status);
    ensure!(matches!(end, Some(MessageStatus::Complete | MessageStatus::Stopped)), "an answer ended as {end:?}");
    done.answers.fetch_add(1, Ordering::Relaxed);
    if visit % 2 == 1 {
        client.delete(thread).await?.acknowledged().await?;
        return Ok(None);
    }
    Ok(Some(thread))
}
