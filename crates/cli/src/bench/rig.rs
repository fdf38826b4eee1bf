//! Processes that a bench starts for itself, and what they cost: a server on data of its own, and the control.
//!
//! What they cost is read from `/proc`, as Linux has it: elsewhere a bench that needs it says so and stops. Processor time
//! comes in hundredths of a second, so that what is measured must take seconds.

use std::io::{BufRead as _, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::Duration;

use anyhow::{Context as _, bail};
use tempfile::TempDir;

/// A server that does not say for so long that it listens will not.
const START: Duration = Duration::from_secs(60);
/// What `/proc` counts processor time in (`USER_HZ`, the same on every architecture of Linux).
const TICK: Duration = Duration::from_millis(10);
const PAGE: u64 = 4096;
/// Limits that no bench meets: what is measured is the work, and refusals are measured by nobody.
const LIMITS: &str = "[limits]\nstreams_per_user = 1000000\nstreams_per_tenant = 1000000\nrequests_per_user = 1000000\n\
    requests_per_tenant = 1000000\nrequests_per_address = 1000000\nunknown_connections = 1000000\n";

/// A process that is ended with this.
pub(super) struct Process {
    child: Child,
    pub(super) url: String,
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended by itself, and what is on its disk is removed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// A server of this binary on data of its own.
pub(super) struct Server {
    pub(super) process: Process,
    _directory: TempDir,
}

impl Server {
    /// Starts one with more configuration than its limits; `disk` is where its data is put.
    pub(super) fn start(disk: Option<&Path>, config: &str) -> anyhow::Result<Self> {
        let directory = directory(disk)?;
        let file = directory.path().join("threadmill.toml");
        std::fs::write(&file, format!("{config}\n{LIMITS}")).context("the configuration cannot be written")?;
        let data = directory.path().join("data");
        let mut command = this_binary()?;
        command.args(["serve", "--no-sample", "--listen", "127.0.0.1:0", "--config"]).arg(file);
        let process = Process::start(command.arg("--data").arg(data))?;
        Ok(Self { process, _directory: directory })
    }
}

/// A directory that is removed with this.
pub(super) fn directory(disk: Option<&Path>) -> anyhow::Result<TempDir> {
    let made = disk.map_or_else(tempfile::tempdir, tempfile::tempdir_in);
    made.with_context(|| {
        format!("no directory can be made in {}", disk.map_or_else(std::env::temp_dir, Path::to_owned).display())
    })
}

/// This binary, told nothing by the variables that this one was started with.
pub(super) fn this_binary() -> anyhow::Result<Command> {
    let mut command = Command::new(std::env::current_exe().context("this binary cannot be found")?);
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("THREADMILL_") {
            command.env_remove(name);
        }
    }
    Ok(command)
}

impl Process {
    /// Starts a process and waits until it names its address.
    pub(super) fn start(command: &mut Command) -> anyhow::Result<Self> {
        let command = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
        let mut child = command.spawn().context("a process cannot be started")?;
        let Some(errors) = child.stderr.take() else { bail!("a process without its errors") };
        let said = follow(errors);
        let mut process = Self { child, url: String::new() };
        let mut words = String::new();
        while let Ok(line) = said.recv_timeout(START) {
            if let Some((_, rest)) = line.split_once(" at http://") {
                let address = rest.split_whitespace().next().unwrap_or_default();
                process.url = format!("http://{address}");
                return Ok(process);
            }
            words = line;
        }
        bail!("a process that was to be measured did not start: {words}")
    }

    /// Processor time since it was started.
    pub(super) fn cpu(&self) -> anyhow::Result<Duration> {
        let text = self.proc("stat")?;
        // The name, in brackets, may hold anything.
        let fields: Vec<&str> = text.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks = |at: usize| fields.get(at).and_then(|field| field.parse::<u32>().ok());
        let (Some(user), Some(system)) = (ticks(11), ticks(12)) else { bail!("/proc is of another shape") };
        Ok(TICK * (user + system))
    }

    /// Bytes of memory that it holds.
    pub(super) fn resident(&self) -> anyhow::Result<u64> {
        let text = self.proc("statm")?;
        let pages = text.split_whitespace().nth(1).and_then(|pages| pages.parse::<u64>().ok());
        Ok(pages.context("/proc is of another shape")? * PAGE)
    }

    fn proc(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/{}/{file}", self.child.id());
        std::fs::read_to_string(&path).with_context(|| format!("{path} cannot be read: this takes Linux"))
    }
}

/// What a process says on its errors, line by line, read to the end so that it never waits.
fn follow(errors: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, said) = channel();
    std::thread::spawn(move || {
        for line in BufReader::new(errors).lines().map_while(Result::ok) {
            // Nobody listens once it has started.
            let _ = sender.send(line);
        }
    });
    said
}
