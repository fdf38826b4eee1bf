//! `threadmill doctor`: what may be wrong with this machine.

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args;

use crate::checks::{self, Chosen, Format, checked};
use crate::local::{DOCTOR, Machine};

const EXAMPLES: &str = "Examples:\n  threadmill doctor\n  threadmill doctor --data /var/lib/threadmill\n  \
    threadmill doctor --config /etc/threadmill.toml --skip port\n\nEach check: docs/doctor.md. A node that runs has its port: \
    --skip port.";

/// It changes nothing, and may run beside a node. To look at a deployment from outside: `threadmill verify`.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Doctor {
    /// Configuration file [default: threadmill.toml here or in the nearest directory above]
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Data directory, instead of the configured one
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Who reads what was found
    #[arg(long, value_enum, default_value_t = Format::Text)]
    format: Format,
    /// Print the checks there are and do none
    #[arg(long)]
    list: bool,
    #[command(flatten)]
    chosen: Chosen,
}

/// A large file is read whole.
const PATIENCE: Duration = Duration::from_secs(600);

impl Doctor {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        Ok(checks::ended("doctor", self.tried().await))
    }

    async fn tried(self) -> anyhow::Result<ExitCode> {
        let all: Vec<_> = DOCTOR.iter().collect();
        let chosen = self.chosen.of(&all)?;
        if self.list {
            checks::list(&chosen, self.format);
            return Ok(ExitCode::SUCCESS);
        }
        let machine = Machine::read(self.config.as_deref()).with_data(self.data);
        let of = vec![machine.place()];
        Ok(checked("doctor", "docs/doctor.md", &chosen, &machine, PATIENCE, of, self.format).await.exit())
    }
}
