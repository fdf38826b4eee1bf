//! `threadmill bench`: fills libraries and measures servers, checking what it reads while it measures.
//!
//! Every bench that compares has its control in the same run: a constant body of the same server, or a process that does
//! nothing above the libraries that the server uses (`control`). Numbers are for reading side by side in one run, on one
//! machine; none of them is a promise.

mod append;
mod control;
mod fanout;
mod locks;
mod marks;
mod model;
mod resume;
mod rig;
mod runs;
mod seed;
mod slope;
mod soak;
mod sockets;
mod stats;
mod wal;
mod window;
mod wires;

use std::process::ExitCode;

use clap::{Args, Subcommand};

/// Measure with ratios: what is measured is compared with a control in the same run.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill bench seed --data /tmp/bench --messages 1000000\n  \
    threadmill bench window --url http://127.0.0.1:7430 --thread bench-1000000\n  \
    threadmill bench append --url http://127.0.0.1:7430 --clients 50 --seconds 10\n  \
    threadmill bench fanout --subscribers 100,300,1000 --rates 60,60,30")]
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
    /// Append messages from many clients at once, over HTTP or at the store
    Append(append::Append),
    /// Send one answer to many readers, beside a loop that does nothing else
    Fanout(fanout::Fanout),
    /// Come back after many changes and get them in one round trip
    Resume(resume::Resume),
    /// Hold many connections and see what each costs
    Sockets(sockets::Sockets),
    /// Let clients come and go for minutes, and see that nothing of them stays
    Soak(soak::Soak),
    /// Contend for one lock from many clients, and check that no two wrote at once
    Locks(locks::Locks),
    /// Stream many runs at once from a mock provider
    Runs(runs::Runs),
    /// What other benches start to compare a server with
    #[command(hide = true)]
    Control(control::Control),
}

impl Bench {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        match self.what {
            What::Seed(seed) => seed.run().await,
            What::Window(window) => window.run().await,
            What::Append(append) => append.run().await,
            What::Fanout(fanout) => fanout.run().await,
            What::Resume(resume) => resume.run().await,
            What::Sockets(sockets) => sockets.run().await,
            What::Soak(soak) => soak.run().await,
            What::Locks(locks) => locks.run().await,
            What::Runs(runs) => runs.run().await,
            What::Control(control) => control.run().await,
        }
    }
}
