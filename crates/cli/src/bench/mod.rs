//! `threadmill bench`: fills libraries and measures servers, checking what it reads while it measures.
//!
//! Numbers are for reading side by side in one run, on one machine; none of them is a promise.

mod append;
mod locks;
mod runs;
mod seed;
mod stats;
mod wal;
mod window;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Measure with ratios: every run also times a constant body of the same size from the same server.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bench seed --data /tmp/bench --messages 1000000\n  \
    threadmill bench window --url http://127.0.0.1:7430 --thread bench-1000000\n  \
    threadmill bench append --url http://127.0.0.1:7430 --clients 50 --seconds 10")]
pub(crate) struct Bench {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Fill a library with threads of real text, up to one of a million messages
    Seed(seed::Seed),
    /// Read windows at the tip and at random depths, and scroll both ways
    Window(window::Window),
    /// Append messages from many clients at once
    Append(append::Append),
    /// Contend for one lock from many clients, and check that no two wrote at once
    Locks(locks::Locks),
    /// Stream many runs at once from a mock provider
    Runs(runs::Runs),
}

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Seed(seed) => seed.run().await,
            What::Window(window) => window.run().await,
            What::Append(append) => append.run().await,
            What::Locks(locks) => locks.run().await,
            What::Runs(runs) => runs.run().await,
        }
    }
}
