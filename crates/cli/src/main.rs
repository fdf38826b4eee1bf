//! The `threadmill` binary: reads the command line and the configuration, and starts what was asked for.

mod backup;
mod bench;
mod bundle;
mod certificates;
mod checks;
mod clock;
mod config;
mod connect;
mod descriptors;
mod files;
mod import;
mod local;
mod log;
mod manual;
mod operator;
mod printed;
mod private;
mod sample;
mod secrets;
mod serve;
mod stop;
mod transfer;
mod verify;

use std::process::ExitCode;

use clap::{CommandFactory as _, Parser, Subcommand};

/// The system's allocator keeps most of a flood's memory for good, and mimalloc gives it back only while it is asked for more:
/// an idle node stayed at twice its size. This one has a thread of its own that gives back what was not used for 10 s.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

const EXAMPLES: &str = "Examples:\n  threadmill serve\n  threadmill import trees.jsonl --data ./data\n  \
    threadmill export --url http://127.0.0.1:7430 > all.jsonl\n  threadmill bench seed --data /tmp/bench --messages 100000";

/// A self-hosted sync engine for AI chat.
#[derive(Debug, Parser)]
#[command(name = "threadmill", version, propagate_version = true, max_term_width = 100, after_help = EXAMPLES)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve chat: the API, live delivery and the bundled page
    Serve(serve::Serve),
    /// Bring conversations in from files
    Import(import::Import),
    /// Write threads out as JSON lines that `import` reads back as the same threads
    Export(transfer::export::Export),
    /// Move a library from SQLite to PostgreSQL, and compare the two
    MigrateStore(transfer::migrate::MigrateStore),
    /// Widen a flag in stages, with gates that take it back
    Rollout(operator::rollout::Rollouts),
    /// What is deleted for its age: preview, confirm, stop
    Retention(operator::retention::Retention),
    /// Webhooks: what was sent, what waits; send again, test
    Webhooks(operator::webhooks::Webhooks),
    /// How people use the page, in numbers that say nothing of anybody
    Analytics(operator::analytics::Analytics),
    /// Show what answers cost, and may
    Budgets(operator::budgets::Budgets),
    /// Prove a deployment from outside, or before it is made
    Verify(Box<verify::Verify>),
    /// Look for what is wrong with this machine
    Doctor(local::doctor::Doctor),
    /// Watch a running server in the terminal
    Top(operator::top::Top),
    /// Copy the embedded store while it is served
    Backup(backup::Backup),
    /// Put a backup back
    Restore(backup::Restore),
    /// Write an archive for whoever helps, without secrets
    Bundle(bundle::Bundle),
    /// Show the configuration as it is understood, or check it
    Config(config::show::ShowConfig),
    /// Fill a library and measure a server
    Bench(bench::Bench),
    /// Print completions for a shell
    Completions(manual::Completions),
    /// Write manual pages
    Man(manual::Man),
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("threadmill: the runtime could not be started: {error}");
            return ExitCode::FAILURE;
        }
    };
    let done = runtime.block_on(async {
        match arguments.command {
            Command::Serve(serve) => serve.run().await,
            Command::Import(import) => import.run().await,
            Command::Export(export) => export.run().await,
            Command::MigrateStore(migrate) => migrate.run().await,
            Command::Rollout(rollout) => rollout.run().await,
            Command::Retention(retention) => retention.run().await,
            Command::Webhooks(webhooks) => webhooks.run().await,
            Command::Analytics(analytics) => analytics.run().await,
            Command::Budgets(budgets) => budgets.run().await,
            Command::Verify(verify) => verify.run().await,
            Command::Doctor(doctor) => doctor.run().await,
            Command::Top(top) => top.run().await,
            Command::Config(config) => config.run(),
            Command::Backup(backup) => backup.run().await,
            Command::Restore(restore) => restore.run().await,
            Command::Bundle(bundle) => bundle.run().await,
            Command::Completions(completions) => completions.run(Arguments::command()),
            Command::Man(man) => man.run(Arguments::command()),
            Command::Bench(bench) => bench.run().await,
        }
    });
    // A task that hangs in a blocking call must not keep a finished command from ending.
    runtime.shutdown_timeout(std::time::Duration::from_secs(2));
    match done {
        Ok(code) => code,
        Err(error) => {
            eprintln!("threadmill: {}", printed::text(&format!("{error:#}")));
            ExitCode::FAILURE
        }
    }
}
