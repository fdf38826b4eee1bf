//! `threadmill bench sockets`: what a connection costs a server that has many and little to say to them.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use anyhow::{Context as _, ensure};
use clap::Args;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use serde_json::{Value, json};
use threadmill_client::{Http, Wire};
use threadmill_proto::ThreadId;

use super::rig::{Process, Server};
use super::stats::round;
use super::wires::{answered, follow};
use crate::connect::strict;
use crate::descriptors;

/// Connections that are opened at a time: below what a listening socket holds for its process.
const OPENING: usize = 100;
/// Files of this process that are no connections.
const FILES: u64 = 100;
/// How long the server gets to give back what opening took, as its allocator does within ten seconds.
const SETTLING: Duration = Duration::from_secs(12);

/// Each connection greets the server, then follows a thread; the server's resident memory is read before, between and
/// after. What the kernel holds for a socket is not in it.
#[derive(Debug, Args)]
#[command(
    after_help = "Examples:\n  threadmill bench sockets\n  threadmill bench sockets --sockets 5000 --threads 50 --json\n\n\
    It starts a server of its own and takes no --url. Both processes need a descriptor a connection: see ulimit -n."
)]
pub(crate) struct Sockets {
    /// Connections. With 20,000 descriptors a server takes 19,000, those by which the bench makes threads among them
    #[arg(long, default_value_t = 18_900)]
    sockets: usize,
    /// Threads that they follow, each as many of them
    #[arg(long, default_value_t = 100)]
    threads: usize,
    /// Users that they are of
    #[arg(long, default_value_t = 20)]
    users: usize,
    /// Do not wait until the server has given back what opening took
    #[arg(long)]
    at_once: bool,
    /// The directory in which the server gets one for its data [default: that for temporary files]
    #[arg(long, value_name = "DIR")]
    disk: Option<PathBuf>,
    /// Print JSON lines
    #[arg(long)]
    json: bool,
}

/// A user whose threads are followed.
struct User {
    http: Http,
    threads: Vec<ThreadId>,
}

impl Sockets {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        ensure!(self.sockets > 0 && self.threads > 0 && self.users > 0, "nothing is measured of nothing");
        let descriptors = descriptors::raised();
        ensure!(
            self.sockets as u64 + FILES <= descriptors,
            "{} sockets take more than the {descriptors} files that a process may open: raise ulimit -n",
            self.sockets
        );
        let server = Server::start(self.disk.as_deref(), "")?;
        let users = self.users(&server.process).await?;
        let empty = self.resident(&server.process).await?;
        let begun = Instant::now();
        let mut wires = self.open(&users).await?;
        let opened = begun.elapsed();
        let connected = self.resident(&server.process).await?;
        let begun = Instant::now();
        for (number, wire) in wires.iter_mut().enumerate() {
            let threads = &users[number % users.len()].threads;
            follow(wire, &threads[number / users.len() % threads.len()]).await?;
        }
        let followed = begun.elapsed();
        let following = self.resident(&server.process).await?;
        // All of them stand to the end.
        for wire in &mut wires {
            answered(wire).await.context("a connection was lost")?;
        }
        let rows = [self.row("connected", empty, connected, opened), self.row("following", empty, following, followed)];
        self.tell(&rows);
        Ok(ExitCode::SUCCESS)
    }

    async fn users(&self, server: &Process) -> anyhow::Result<Vec<User>> {
        let mut users = Vec::new();
        for number in 0..self.users {
            let http = strict(&server.url, &format!("bench-{number}"))?;
            let mut threads = Vec::new();
            for _ in 0..self.threads.div_ceil(self.users) {
                threads.push(http.create_thread("the first message", None).await?.thread);
            }
            users.push(User { http, threads });
        }
        Ok(users)
    }

    async fn open(&self, users: &[User]) -> anyhow::Result<Vec<Wire>> {
        let opening = (0..self.sockets).map(|number| Wire::greeted(&users[number % users.len()].http));
        Ok(stream::iter(opening).buffered(OPENING).try_collect().await?)
    }

    /// Bytes that the server holds when it has come to rest.
    async fn resident(&self, server: &Process) -> anyhow::Result<u64> {
        if !self.at_once {
            tokio::time::sleep(SETTLING).await;
        }
        server.resident()
    }

    fn row(&self, what: &str, before: u64, after: u64, over: Duration) -> Value {
        #[expect(clippy::cast_precision_loss, reason = "a mean")]
        let kib = after.saturating_sub(before) as f64 / 1024.0 / self.sockets as f64;
        #[expect(clippy::cast_precision_loss, reason = "a rate")]
        let rate = self.sockets as f64 / over.as_secs_f64();
        json!({
            "what": what, "sockets": self.sockets, "kibEach": round(kib), "serverBytes": after,
            "serverBytesBefore": before, "perSecond": round(rate),
        })
    }

    fn tell(&self, rows: &[Value]) {
        for row in rows {
            match (self.json, row["what"].as_str()) {
                (false, Some(what)) => println!(
                    "{} sockets {what}: {} KiB of the server's memory each, {} MiB in all; {} a second",
                    row["sockets"],
                    row["kibEach"],
                    row["serverBytes"].as_u64().unwrap_or_default() >> 20,
                    row["perSecond"]
                ),
                _ => println!("{row}"),
            }
        }
    }
}
