//! `threadmill top`: the operators' page in a terminal, over the ops API of a running node.
//!
//! [`ask`] asks, in a task of its own; [`tabs`] says what each page asks and shows, [`page`] makes lines of it, [`screen`] is what
//! keys change, [`draw`] puts it on the [`terminal`]. What a node says passes [`words`] before it is shown. `--once` prints the
//! same lines into a pipe.

mod ask;
mod draw;
mod fields;
mod page;
mod screen;
mod tabs;
mod terminal;
#[cfg(test)]
mod tests;
mod words;

use std::io::IsTerminal as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, bail};
use clap::Args;
use ratatui::crossterm::event::Event;
use serde_json::{Map, Value};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, interval};

use super::server::{self, TOKEN};
use crate::files;
use ask::{Heard, Server, keep_asking};
use draw::{Paint, draw};
use page::Line;
use screen::{Screen, Then};
use tabs::{Tab, series_path};
use terminal::Terminal;

/// Ages on the screen grow by the second.
const BEAT: Duration = Duration::from_secs(1);
/// Columns of what is printed into a pipe.
const PRINTED: usize = 120;

const EXAMPLES: &str = "Examples:\n  threadmill top\n  threadmill top --url https://chat.example.org:7431 --token-file ops.token\n  \
    threadmill top --once\n  threadmill top --json | jq .summary.verdict\n\nTHREADMILL_OPS_TOKEN or --token-file has the \
    operators' token, where there is one. With --once the exit code is 1 where the node does not answer.";

/// Watches a running server in the terminal.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Top {
    /// The server, where its operators' API is
    #[arg(long, value_name = "URL", default_value = "http://127.0.0.1:7430")]
    url: String,
    /// The file that holds the operators' token; else THREADMILL_OPS_TOKEN does
    #[arg(long, value_name = "FILE")]
    token_file: Option<PathBuf>,
    /// Print one look as text, and end
    #[arg(long)]
    once: bool,
    /// Print one look as JSON, the answers of the ops API by their names, and end
    #[arg(long, conflicts_with = "once")]
    json: bool,
}

impl Top {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let server = Server::new(self.url.trim_end_matches('/'), self.token()?)?;
        if self.json || self.once {
            return if self.json {
                server::print_json(&json(&server).await?)
            } else {
                server::print(&once(&server).await?)
            };
        }
        if !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
            bail!("this is no terminal: use --once or --json");
        }
        watch_it(server).await?;
        Ok(ExitCode::SUCCESS)
    }

    fn token(&self) -> anyhow::Result<Option<String>> {
        match (&self.token_file, server::token()) {
            (Some(_), Some(_)) => bail!("give --token-file or {TOKEN}, not both"),
            (Some(file), None) => Ok(Some(files::text(file, files::SECRET)?.trim().to_owned())),
            (None, variable) => Ok(variable),
        }
    }
}

/// One answer to every question, for programs.
async fn json(server: &Server) -> anyhow::Result<Value> {
    let mut all = Map::new();
    for (path, answer) in look(server).await? {
        all.insert(path.into(), answer);
    }
    Ok(Value::Object(all))
}

/// One look at every page, for people and pipes.
async fn once(server: &Server) -> anyhow::Result<String> {
    let (mut screen, now) = (Screen::new(&server.url), Instant::now());
    for (path, answer) in look(server).await? {
        screen.hear(Heard { path, answer: Ok(answer) }, now);
    }
    let mut lines = vec![screen.verdict(now)];
    for tab in Tab::ALL {
        if tab != Tab::Now {
            lines.extend([Line::new(), vec![words::Word::plain(tab.title())]]);
        }
        lines.extend(page::lines(&screen.blocks(tab), PRINTED));
    }
    let text = |line: &Line| line.iter().map(words::Word::text).collect::<String>().trim_end().to_owned() + "\n";
    Ok(lines.iter().map(text).collect())
}

/// Everything, once.
async fn look(server: &Server) -> anyhow::Result<Vec<(&'static str, Value)>> {
    let mut all = Vec::new();
    for tab in Tab::ALL {
        all.push((tab.path(), tab.path().to_owned()));
    }
    all.push(("series", series_path()));
    let mut answers = Vec::new();
    for (path, question) in all {
        match server.ask(&question).await {
            Ok(answer) => answers.push((path, answer)),
            Err(why) => bail!("{} said nothing of {path}: {why}", server.url),
        }
    }
    Ok(answers)
}

/// Shows the screen until somebody has seen enough.
async fn watch_it(server: Server) -> anyhow::Result<()> {
    let paint =
        if std::env::var_os("NO_COLOR").is_some_and(|set| !set.is_empty()) { Paint::Plain } else { Paint::Colours };
    let mut ends = [SignalKind::terminate(), SignalKind::interrupt(), SignalKind::hangup()].map(signal);
    let [Ok(terminate), Ok(interrupt), Ok(hangup)] = &mut ends else { bail!("signals cannot be listened for") };
    let mut screen = Screen::new(&server.url);
    let (wanted, wish) = watch::channel(screen.wanted());
    let (heard, mut answers) = mpsc::channel(4);
    let asking = tokio::spawn(keep_asking(server, wish, heard));
    let (mut terminal, mut events) = Terminal::take()?;
    let mut beats = interval(BEAT);
    let shown = loop {
        if let Err(error) = terminal.inner.draw(|frame| draw(frame, &mut screen, paint, Instant::now())) {
            break Err(error).context("the terminal cannot be written to");
        }
        tokio::select! {
            event = events.recv() => match event {
                Some(Event::Key(key)) if screen.press(key) == Then::Leave => break Ok(()),
                Some(_) => {}
                None => break Ok(()),
            },
            Some(answer) = answers.recv() => screen.hear(answer, Instant::now()),
            _ = beats.tick() => {}
            _ = terminate.recv() => break Ok(()),
            _ = interrupt.recv() => break Ok(()),
            _ = hangup.recv() => break Ok(()),
        }
        wanted.send_if_modified(|known| std::mem::replace(known, screen.wanted()) != screen.wanted());
    };
    asking.abort();
    drop(terminal);
    shown
}
