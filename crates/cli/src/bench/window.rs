//! `threadmill bench window`: opens and scrolls, and checks that every window is the one asked for.

use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use threadmill_proto::{Window as Page, from_cbor, json as shape};

use super::stats::{Stats, print};
use crate::transfer::http_client;

/// Works on a thread that `bench seed` made. Beside each kind of window it reads a constant body of the same size.
#[derive(Debug, Args)]
pub(crate) struct Window {
    /// The server
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430")]
    url: String,
    /// The user whose thread it is
    #[arg(long, default_value = "local")]
    user: String,
    /// The thread; may be repeated to compare several in one run
    #[arg(long = "thread", required = true, value_name = "ID")]
    threads: Vec<String>,
    /// Requests of each kind
    #[arg(long, default_value_t = 2000)]
    requests: usize,
    /// Requests at a time
    #[arg(long, default_value_t = 4)]
    clients: usize,
    /// Ask for CBOR, as the client does, instead of JSON
    #[arg(long)]
    cbor: bool,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy)]
enum Kind {
    Tip,
    Random,
    Back,
    On,
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

struct Server {
    client: reqwest::Client,
    base: String,
    user: String,
    cbor: bool,
}

impl Server {
    async fn bytes(&self, path: &str) -> anyhow::Result<Vec<u8>> {
        let mut request = self.client.get(format!("{}{path}", self.base)).header("x-threadmill-user", &self.user);
        if self.cbor {
            request = request.header("accept", "application/cbor");
        }
        let response = request.send().await.context("the server does not answer")?.error_for_status()?;
        Ok(response.bytes().await?.to_vec())
    }

    async fn page(&self, path: &str) -> anyhow::Result<(Page, usize, Duration)> {
        let begun = Instant::now();
        let bytes = self.bytes(path).await?;
        let took = begun.elapsed();
        let page = if self.cbor {
            from_cbor(&bytes)?
        } else {
            shape::window_from_value(serde_json::from_slice(&bytes)?).map_err(anyhow::Error::msg)?
        };
        Ok((page, bytes.len(), took))
    }
}

/// The query of one request, and the depths its window must cover.
fn ask(kind: Kind, total: u64, random: &mut Random) -> (String, u64, u64) {
    let depth = random.below(total);
    let (query, from, to) = match kind {
        Kind::Tip => ("anchor=tip&before=50".into(), total.saturating_sub(50), total),
        Kind::Random => {
            (format!("anchor=depth:{depth}&before=25&after=25"), depth.saturating_sub(25), (depth + 25).min(total))
        }
        Kind::Back => (format!("anchor=depth:{depth}&before=25&after=0"), depth.saturating_sub(25), depth),
        Kind::On => (format!("anchor=depth:{depth}&before=0&after=25"), depth, (depth + 25).min(total)),
    };
    (query, from, to)
}

fn check(page: &Page, from: u64, to: u64) -> anyhow::Result<()> {
    ensure!((page.from, page.to) == (from, to), "asked for {from}..{to}, got {}..{}", page.from, page.to);
    ensure!(page.messages.len() as u64 == to - from, "{} messages in {from}..{to}", page.messages.len());
    for (message, depth) in page.messages.iter().zip(from..) {
        ensure!(message.depth == depth, "depth {} where {depth} was expected", message.depth);
        ensure!(message.id.as_str() == format!("m-{depth}"), "{} at depth {depth}", message.id);
    }
    Ok(())
}

impl Window {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let server = Arc::new(Server {
            client: http_client()?,
            base: format!("{}/v1", self.url.trim_end_matches('/')),
            user: self.user.clone(),
            cbor: self.cbor,
        });
        let mut rows = Vec::new();
        for thread in &self.threads {
            let path = format!("/threads/{thread}/messages?branch=main&anchor=tip&before=1");
            let (first, _, _) = server.page(&path).await.with_context(|| format!("thread {thread}"))?;
            let kinds =
                [(Kind::Tip, "tip 50"), (Kind::Random, "random 25+25"), (Kind::Back, "back 25"), (Kind::On, "on 25")];
            for (kind, name) in kinds {
                let (mut stats, over, size) = self.measure(&server, thread, kind, first.total).await?;
                rows.push(stats.row(&format!("{thread} {name}"), over));
                let (mut constant, over) = self.constant(&server, size).await?;
                rows.push(constant.row(&format!("  constant {size} B"), over));
            }
        }
        print(&rows, self.json);
        Ok(ExitCode::SUCCESS)
    }

    async fn measure(
        &self,
        server: &Arc<Server>,
        thread: &str,
        kind: Kind,
        total: u64,
    ) -> anyhow::Result<(Stats, Duration, usize)> {
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for client in 0..self.clients {
            let (server, thread) = (Arc::clone(server), thread.to_owned());
            let requests = self.requests / self.clients;
            tasks.push(tokio::spawn(async move {
                let mut random = Random(client as u64);
                let (mut stats, mut bytes) = (Stats::default(), 0);
                for _ in 0..requests {
                    let (query, from, to) = ask(kind, total, &mut random);
                    let path = format!("/threads/{thread}/messages?branch=main&{query}");
                    let (page, size, took) = server.page(&path).await?;
                    check(&page, from, to)?;
                    stats.add(took);
                    bytes += size;
                }
                anyhow::Ok((stats, bytes))
            }));
        }
        let (mut stats, mut bytes) = (Stats::default(), 0);
        for task in tasks {
            let (more, size) = task.await??;
            stats.merge(more);
            bytes += size;
        }
        let size = bytes / stats.len().max(1);
        Ok((stats, begun.elapsed(), size))
    }

    async fn constant(&self, server: &Arc<Server>, size: usize) -> anyhow::Result<(Stats, Duration)> {
        let begun = Instant::now();
        let mut tasks = Vec::new();
        for _ in 0..self.clients {
            let server = Arc::clone(server);
            let requests = self.requests / self.clients;
            tasks.push(tokio::spawn(async move {
                let mut stats = Stats::default();
                for _ in 0..requests {
                    let begun = Instant::now();
                    let bytes = server.bytes(&format!("/constant?bytes={size}")).await?;
                    stats.add(begun.elapsed());
                    ensure!(bytes.len() == size, "{} bytes instead of {size}", bytes.len());
                }
                anyhow::Ok(stats)
            }));
        }
        let mut stats = Stats::default();
        for task in tasks {
            stats.merge(task.await??);
        }
        Ok((stats, begun.elapsed()))
    }
}
