//! `threadmill bench window`: opens and scrolls, and checks that every window is the one asked for.
//!
//! A few rounds of each kind of window take turns with as many requests for a constant body of the same size, from the same
//! server by the same clients, so that what slows the machine slows both. Answers are checked between rounds, while nothing
//! is timed: what a client does with a window is not the server's cost.

use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::{Args, ValueEnum};
use serde_json::json;
use threadmill_client::{Form, Http, Method};
use threadmill_proto::{Window as Page, from_cbor, json as shape};

use super::stats::{Stats, compare, print};
use crate::connect::Target;

/// Messages of a window at the tip, and on each side of an anchor.
const NEWEST: u64 = 50;
const SIDE: u64 = 25;
/// Turns that a kind of window and its control take.
const ROUNDS: usize = 8;

/// Works on a thread that `bench seed` made. Beside each kind of window it reads a constant body of the same size.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bench window --thread bench-1000000\n  \
    threadmill bench window --thread bench-1000000 --kinds tip,random --forms cbor --requests 20000 --json\n  \
    threadmill bench window --thread bench-1000000 --kinds tip --appends 10\n\n\
    A server lets one user ask 20000 times a second: limits.requests_per_user in its configuration raises that.")]
pub(crate) struct Window {
    #[command(flatten)]
    target: Target,
    /// The thread; may be repeated to compare several in one run
    #[arg(long = "thread", required = true, value_name = "ID")]
    threads: Vec<String>,
    /// Windows: the newest 50, 25 on each side of any depth, 25 before it, 25 from it on
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = Kind::ALL)]
    kinds: Vec<Kind>,
    /// How they are encoded
    #[arg(long, value_enum, value_delimiter = ',', default_values_t = [Encoding::Json, Encoding::Cbor])]
    forms: Vec<Encoding>,
    /// The same as --forms cbor
    #[arg(long, hide = true)]
    cbor: bool,
    /// Requests of each kind
    #[arg(long, default_value_t = 8000)]
    requests: usize,
    /// Requests at a time
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Of a hundred requests, so many append a message to the thread instead; they stay in it
    #[arg(long, value_name = "PERCENT", default_value_t = 0, value_parser = percent)]
    appends: u64,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

fn percent(text: &str) -> Result<u64, String> {
    let number = text.trim_end_matches('%').parse().map_err(|_| format!("`{text}` is no percentage"))?;
    if number < 100 { Ok(number) } else { Err("some requests must be for windows: at most 99".into()) }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Tip,
    Random,
    Back,
    On,
}

impl Kind {
    const ALL: [Self; 4] = [Self::Tip, Self::Random, Self::Back, Self::On];

    fn name(self) -> &'static str {
        match self {
            Self::Tip => "tip 50",
            Self::Random => "random 25+25",
            Self::Back => "back 25",
            Self::On => "on 25",
        }
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Encoding {
    Json,
    Cbor,
}

impl Encoding {
    fn form(self) -> Form {
        match self {
            Self::Json => Form::Json,
            Self::Cbor => Form::Cbor,
        }
    }
}

/// A generator that is the same in every run (Steele and Vigna's SplitMix64).
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % bound.max(1)
    }
}

/// What one client asks for, and where its answers go.
struct Client {
    http: Http,
    thread: String,
    form: Form,
    random: Random,
    /// Messages that the thread has at least.
    total: Arc<AtomicU64>,
    windows: Stats,
    appends: Stats,
    constants: Stats,
    bytes: u64,
}

/// An answer that is not checked yet, and the depths that it must cover.
struct Unchecked {
    bytes: Vec<u8>,
    wanted: Wanted,
}

/// The depths that a window must cover.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Wanted {
    /// So many at the tip, of a thread that had at least so many.
    Newest(u64, u64),
    /// These, as far as the thread goes, which was at least so far.
    Range(u64, u64, u64),
}

/// The query of one request, and what its window must cover.
fn ask(kind: Kind, total: u64, random: &mut Random) -> (String, Wanted) {
    let depth = random.below(total);
    let query = |before: u64, after: u64| format!("anchor=depth:{depth}&before={before}&after={after}");
    let range = |before: u64, after: u64| Wanted::Range(depth.saturating_sub(before), depth + after, total);
    match kind {
        Kind::Tip => (format!("anchor=tip&before={NEWEST}"), Wanted::Newest(NEWEST, total)),
        Kind::Random => (query(SIDE, SIDE), range(SIDE, SIDE)),
        Kind::Back => (query(SIDE, 0), range(SIDE, 0)),
        Kind::On => (query(0, SIDE), range(0, SIDE)),
    }
}

impl Client {
    /// Asks so many times, and keeps what came to be checked.
    async fn turn(mut self, kind: Kind, requests: usize, appends: u64) -> anyhow::Result<(Self, Vec<Unchecked>)> {
        let mut unchecked = Vec::with_capacity(requests);
        for _ in 0..requests {
            if self.random.below(100) < appends {
                self.append().await?;
                continue;
            }
            let (query, wanted) = ask(kind, self.total.load(Ordering::Relaxed), &mut self.random);
            let path = format!("/threads/{}/messages?branch=main&{query}", self.thread);
            let begun = Instant::now();
            let bytes = self.http.bytes(&path, self.form).await?;
            self.windows.add(begun.elapsed());
            self.bytes += bytes.len() as u64;
            unchecked.push(Unchecked { bytes, wanted });
        }
        Ok((self, unchecked))
    }

    async fn append(&mut self) -> anyhow::Result<()> {
        let body = json!({"parts": [{"type": "text", "text": "written while windows are read"}]});
        let begun = Instant::now();
        let path = format!("/threads/{}/messages", self.thread);
        self.http.call_text(Method::POST, &path, Some(body.to_string())).await?;
        self.appends.add(begun.elapsed());
        self.total.fetch_add(1, Ordering::Relaxed);
        Ok(())
    }

    fn check(&self, unchecked: Vec<Unchecked>) -> anyhow::Result<()> {
        let mut known: Option<Unchecked> = None;
        for answer in unchecked {
            // At the tip of a thread at rest one answer is like the other.
            if known.as_ref().is_none_or(|known| known.wanted != answer.wanted || known.bytes != answer.bytes) {
                check(&page(&answer.bytes, self.form)?, answer.wanted)?;
            }
            known = Some(answer);
        }
        Ok(())
    }

    /// Asks for a constant body so many times.
    async fn constant(mut self, requests: usize, size: u64) -> anyhow::Result<(Self, Vec<Unchecked>)> {
        let path = format!("/constant?bytes={size}");
        for _ in 0..requests {
            let begun = Instant::now();
            let bytes = self.http.bytes(&path, self.form).await?;
            self.constants.add(begun.elapsed());
            ensure!(bytes.len() as u64 == size, "{} bytes instead of {size}", bytes.len());
        }
        Ok((self, Vec::new()))
    }
}

fn page(bytes: &[u8], form: Form) -> anyhow::Result<Page> {
    match form {
        Form::Cbor => Ok(from_cbor(bytes)?),
        Form::Json => shape::window_from_value(serde_json::from_slice(bytes)?).map_err(anyhow::Error::msg),
    }
}

fn check(page: &Page, wanted: Wanted) -> anyhow::Result<()> {
    let (Wanted::Newest(_, least) | Wanted::Range(_, _, least)) = wanted;
    ensure!(page.total >= least, "{} messages where {least} were there before", page.total);
    let (from, to) = match wanted {
        Wanted::Newest(count, _) => (page.total.saturating_sub(count), page.total),
        Wanted::Range(from, to, _) => (from, to.min(page.total)),
    };
    ensure!((page.from, page.to) == (from, to), "asked for {from}..{to}, got {}..{}", page.from, page.to);
    ensure!(page.messages.len() as u64 == to - from, "{} messages in {from}..{to}", page.messages.len());
    for (message, depth) in page.messages.iter().zip(from..) {
        ensure!(message.depth == depth, "depth {} where {depth} was expected", message.depth);
        // What `--appends` wrote has ids of the server's.
        let seeded = message.id.as_str().strip_prefix("m-");
        ensure!(seeded.is_none_or(|at| at == depth.to_string()), "{} at depth {depth}", message.id);
    }
    Ok(())
}

/// What a kind of window and its control took.
#[derive(Default)]
struct Took {
    windows: Stats,
    appends: Stats,
    constants: Stats,
    bytes: u64,
    over: Duration,
    constants_over: Duration,
}

impl Took {
    /// The mean length of an answer.
    fn size(&self) -> u64 {
        self.bytes / (self.windows.len() as u64).max(1)
    }

    fn add(&mut self, client: &mut Client) {
        self.windows.merge(std::mem::take(&mut client.windows));
        self.appends.merge(std::mem::take(&mut client.appends));
        self.constants.merge(std::mem::take(&mut client.constants));
        self.bytes += std::mem::take(&mut client.bytes);
    }
}

/// Lets clients do something at the same time; what they have to check, and how long it took.
async fn together<F>(
    clients: Vec<Client>,
    act: impl Fn(Client) -> F,
) -> anyhow::Result<(Vec<(Client, Vec<Unchecked>)>, Duration)>
where
    F: Future<Output = anyhow::Result<(Client, Vec<Unchecked>)>> + Send + 'static,
{
    let begun = Instant::now();
    let tasks: Vec<_> = clients.into_iter().map(|client| tokio::spawn(act(client))).collect();
    let mut done = Vec::new();
    for task in tasks {
        done.push(task.await??);
    }
    Ok((done, begun.elapsed()))
}

impl Window {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.clients > 0, "--clients is at least 1");
        let http = self.target.http("local")?;
        let forms = if self.cbor { vec![Encoding::Cbor] } else { self.forms.clone() };
        let mut rows = Vec::new();
        for thread in &self.threads {
            for form in &forms {
                for kind in &self.kinds {
                    let mut took = self.measure(&http, thread, *kind, form.form()).await?;
                    let name = format!("{thread} {} {form:?}", kind.name()).to_lowercase();
                    let mut row = took.windows.row(&name, took.over);
                    let constant = format!("  constant {} B", took.size());
                    let control = took.constants.row(&constant, took.constants_over);
                    if self.appends == 0 {
                        compare(&mut row, &control);
                    }
                    rows.extend([row, control]);
                    if self.appends > 0 {
                        rows.push(took.appends.row(&format!("  appends, {} %", self.appends), took.over));
                    }
                }
            }
        }
        print(&rows, self.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(&self, http: &Http, thread: &str, kind: Kind, form: Form) -> anyhow::Result<Took> {
        let path = format!("/threads/{thread}/messages?branch=main&anchor=tip&before=1");
        let first = http.bytes(&path, form).await.with_context(|| format!("thread {thread}"))?;
        let total = Arc::new(AtomicU64::new(page(&first, form)?.total));
        let mut clients: Vec<Client> = (0..self.clients as u64)
            .map(|number| Client {
                http: http.clone(),
                thread: thread.to_owned(),
                form,
                random: Random(number),
                total: Arc::clone(&total),
                windows: Stats::default(),
                appends: Stats::default(),
                constants: Stats::default(),
                bytes: 0,
            })
            .collect();
        let (requests, appends) = ((self.requests / self.clients / ROUNDS).max(1), self.appends);
        let mut took = Took::default();
        for _ in 0..ROUNDS {
            let (done, over) = together(clients, |client| client.turn(kind, requests, appends)).await?;
            took.over += over;
            clients = Vec::new();
            for (mut client, unchecked) in done {
                client.check(unchecked)?;
                took.add(&mut client);
                clients.push(client);
            }
            let size = took.size();
            let (done, over) = together(clients, |client| client.constant(requests, size)).await?;
            took.constants_over += over;
            clients = done.into_iter().map(|(client, _)| client).collect();
            clients.iter_mut().for_each(|client| took.add(client));
        }
        Ok(took)
    }
}
