//! `threadmill completions` and `threadmill man`: made from the commands' own words.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::{Args, Command};
use clap_complete::Shell;

/// Source them, or put them where the shell looks.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill completions bash > /etc/bash_completion.d/threadmill\n  \
    threadmill completions zsh > ~/.zfunc/_threadmill\n  threadmill completions fish > ~/.config/fish/completions/threadmill.fish")]
pub(crate) struct Completions {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

impl Completions {
    pub(crate) fn run(self, mut commands: Command) -> anyhow::Result<ExitCode> {
        let mut text = Vec::new();
        clap_complete::generate(self.shell, &mut commands, "threadmill", &mut text);
        std::io::Write::write_all(&mut std::io::stdout(), &text).context("the standard output cannot be written")?;
        Ok(ExitCode::SUCCESS)
    }
}

/// One page a command, for section 1.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill man /usr/local/share/man/man1")]
pub(crate) struct Man {
    /// The directory to write to; made if it is not there
    dir: PathBuf,
}

impl Man {
    pub(crate) fn run(self, commands: Command) -> anyhow::Result<ExitCode> {
        let cannot = || format!("{} cannot be written", self.dir.display());
        std::fs::create_dir_all(&self.dir).with_context(cannot)?;
        clap_mangen::generate_to(commands, &self.dir).with_context(cannot)?;
        Ok(ExitCode::SUCCESS)
    }
}
