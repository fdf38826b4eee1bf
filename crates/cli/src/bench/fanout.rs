//! `threadmill bench fanout`: one answer to many readers, beside a loop that does nothing else than send.
//!
//! A server of this binary and the control (see `control`) run in processes of their own. A model in this process says
//! tokens at a pace; each is the time at which it was said, so that every reader of every frame knows how old it is. The
//! server commits each with a sync before anybody sees it. The frames that the first reader got are then published
//! through the control at the same pace, which syncs each to a file as well: the same bytes, the same readers, the same
//! way there, and nothing in between but a channel.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::{Value, json};
use threadmill_client::{Events, Http, Method, Wire};
use threadmill_proto::ThreadId;
use tokio::task::JoinSet;

use super::control::control;
use super::marks::{self, Marks};
use super::model::{Model, Pace};
use super::rig::{Process, Server};
use super::stats::{Stats, print, round};
use super::wires::follow;
use crate::connect::strict;
use crate::descriptors;

/// A reader that hears nothing for so long has lost its connection.
const PATIENCE: Duration = Duration::from_secs(60);
/// Readers that are opened at a time.
const OPENING: usize = 50;

/// Latency is from the model's saying a token to a reader's having it, processor time that of the measured process for a
/// token at a reader. Tokens that wait for a slow reader may come in one frame; the control sends the frames that one reader
/// had.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bench fanout\n  \
    threadmill bench fanout --subscribers 100,1000 --rates 60,30 --kinds socket --seconds 20 --json\n\n\
    It starts processes of its own and takes no --url. Ratios are the server's figures over the control's.")]
pub(crate) struct Fanout {
    /// Readers of the answer, one measurement each
    #[arg(long, value_delimiter = ',', default_values_t = [100, 300, 1000])]
    subscribers: Vec<usize>,
    /// Tokens a second, one for each number of readers
    #[arg(long, value_delimiter = ',', default_values_t = [60, 60, 30])]
    rates: Vec<u32>,
    /// How they read
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Kind::Socket, Kind::Events])]
    kinds: Vec<Kind>,
    /// How long an answer takes
    #[arg(long, default_value_t = 10)]
    seconds: u32,
    /// The directory in which the server gets one for its data [default: that for temporary files]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    /// By WebSocket
    Socket,
    /// By server-sent events
    Events,
}

/// One reader.
enum Reader {
    Socket(Box<Wire>),
    Events(Box<Events>),
}

impl Reader {
    /// Follows the server's thread; what the control sends follows nothing.
    async fn open(http: &Http, kind: Kind, thread: Option<&ThreadId>) -> anyhow::Result<Self> {
        match (kind, thread) {
            (Kind::Socket, Some(thread)) => {
                let mut wire = Wire::greeted(http).await?;
                follow(&mut wire, thread).await?;
                Ok(Self::Socket(Box::new(wire)))
            }
            (Kind::Socket, None) => Ok(Self::Socket(Box::new(Wire::bare(http, "/sync").await?))),
            (Kind::Events, Some(thread)) => {
                let mut events = http.events(thread).await?;
                events.next().await?.context("the stream does not open with a window")?;
                Ok(Self::Events(Box::new(events)))
            }
            (Kind::Events, None) => Ok(Self::Events(Box::new(http.events(&ThreadId::parse("control")?).await?))),
        }
    }

    async fn next(&mut self) -> anyhow::Result<Vec<u8>> {
        let next = async {
            match self {
                Self::Socket(wire) => Ok(wire.next().await?),
                Self::Events(events) => Ok(events.next().await?.context("the stream ended")?.bytes().to_vec()),
            }
        };
        tokio::time::timeout(PATIENCE, next).await.context("a reader hears nothing")?
    }
}

/// What one reader had.
#[derive(Default)]
struct Had {
    /// One a token.
    latencies: Stats,
    /// Of one of them.
    frames: Vec<Vec<u8>>,
}

/// Reads to the end of the answer.
async fn read(mut reader: Reader, keeps: bool) -> anyhow::Result<Had> {
    let mut had = Had::default();
    loop {
        let frame = reader.next().await?;
        let (now, Marks { times, ended }) = (marks::now(), marks::marks(&frame));
        times.iter().for_each(|at| had.latencies.add(Duration::from_micros(now.saturating_sub(*at))));
        if keeps && (ended || !times.is_empty()) {
            had.frames.push(frame);
        }
        if ended {
            return Ok(had);
        }
    }
}

/// What a measurement found.
struct Found {
    latencies: Stats,
    over: Duration,
    cpu: Duration,
    frames: Vec<Vec<u8>>,
}

impl Found {
    fn micros(&self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let deliveries = self.latencies.len() as f64;
        self.cpu.as_secs_f64() * 1e6 / deliveries.max(1.0)
    }

    fn row(&mut self, what: &str) -> Value {
        let micros = self.micros();
        let mut row = self.latencies.row(what, self.over);
        row["cpuMicros"] = round(micros).into();
        row
    }
}

impl Fanout {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.rates.len() == self.subscribers.len(), "--rates and --subscribers go together, one for one");
        ensure!(self.rates.iter().all(|rate| *rate > 0) && self.seconds > 0, "a pace of 0 says nothing");
        descriptors::raised();
        let model = Model::start().await?;
        let server = Server::start(self.disk.as_deref(), &model.config())?;
        let control = control(self.disk.as_deref())?;
        let mut rows = Vec::new();
        for kind in &self.kinds {
            for (subscribers, rate) in self.subscribers.iter().zip(&self.rates) {
                let pace = Pace { tokens: rate * self.seconds, rate: *rate };
                model.set(pace);
                let mut found = answer(&server.process, *kind, *subscribers, pace).await?;
                let mut bare = repeat(&control, *kind, *subscribers, pace, &found.frames).await?;
                rows.extend(compared(
                    &format!("{kind:?} {subscribers} at {rate}/s").to_lowercase(),
                    &mut found,
                    &mut bare,
                ));
            }
        }
        print(&rows, self.json);
        Ok(ExitCode::SUCCESS)
    }
}

fn compared(what: &str, found: &mut Found, bare: &mut Found) -> [Value; 2] {
    let (mut row, control) = (found.row(what), bare.row("  control"));
    let over = |key: &str| {
        let (ours, theirs) = (row[key].as_f64().unwrap_or_default(), control[key].as_f64().unwrap_or_default());
        round(ours / theirs.max(0.001))
    };
    let ratio = json!({"p50": over("p50Ms"), "p99": over("p99Ms"), "cpu": over("cpuMicros")});
    row["ratio"] = ratio;
    [row, control]
}

async fn open(http: &Http, kind: Kind, thread: Option<&ThreadId>, count: usize) -> anyhow::Result<Vec<Reader>> {
    let (mut readers, mut opening) = (Vec::new(), JoinSet::new());
    for _ in 0..count {
        if opening.len() >= OPENING
            && let Some(opened) = opening.join_next().await
        {
            readers.push(opened??);
        }
        let (http, thread) = (http.clone(), thread.cloned());
        opening.spawn(async move { Reader::open(&http, kind, thread.as_ref()).await });
    }
    while let Some(opened) = opening.join_next().await {
        readers.push(opened??);
    }
    Ok(readers)
}

/// What happens at a process while `say` has something said to readers.
async fn measure(
    process: &Process,
    readers: Vec<Reader>,
    pace: Pace,
    say: impl Future<Output = anyhow::Result<()>>,
) -> anyhow::Result<Found> {
    let (before, begun) = (process.cpu()?, Instant::now());
    let mut reading = JoinSet::new();
    for (number, reader) in readers.into_iter().enumerate() {
        reading.spawn(read(reader, number == 0));
    }
    say.await?;
    let mut found =
        Found { latencies: Stats::default(), over: Duration::ZERO, cpu: Duration::ZERO, frames: Vec::new() };
    while let Some(had) = reading.join_next().await {
        let had = had??;
        let tokens = had.latencies.len();
        ensure!(tokens == usize::try_from(pace.tokens)?, "a reader had {tokens} of {} tokens", pace.tokens);
        found.latencies.merge(had.latencies);
        found.frames.extend(had.frames);
    }
    found.over = begun.elapsed();
    found.cpu = process.cpu()?.saturating_sub(before);
    Ok(found)
}

async fn answer(server: &Process, kind: Kind, subscribers: usize, pace: Pace) -> anyhow::Result<Found> {
    let http = strict(&server.url, "bench")?;
    let thread = http.create_thread("the first message", None).await?.thread;
    let readers = open(&http, kind, Some(&thread), subscribers).await?;
    let found = measure(server, readers, pace, async {
        http.send(&thread, "go on", Some("bench")).await?;
        Ok(())
    });
    let found = found.await?;
    http.call(Method::DELETE, &format!("/threads/{thread}"), None).await?;
    Ok(found)
}

async fn repeat(
    control: &Process,
    kind: Kind,
    subscribers: usize,
    pace: Pace,
    frames: &[Vec<u8>],
) -> anyhow::Result<Found> {
    let http = strict(&control.url, "bench")?;
    let readers = open(&http, kind, None, subscribers).await?;
    let mut speaker = Wire::bare(&http, "/publish").await?;
    measure(control, readers, pace, async move {
        let (begun, mut said) = (tokio::time::Instant::now(), 0);
        for frame in frames {
            said += u32::try_from(marks::marks(frame).times.len())?;
            tokio::time::sleep_until(begun + pace.due(said)).await;
            let mut frame = frame.clone();
            marks::set(&mut frame, marks::now());
            speaker.send(frame).await?;
        }
        // It is gone with this, and what it said is on its way.
        Ok(())
    })
    .await
}
