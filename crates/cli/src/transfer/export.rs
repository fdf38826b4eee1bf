//! `threadmill export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};
use clap::Args;
use serde_json::Value;
use threadmill_formats::{lines, rows};
use threadmill_proto::ThreadId;
use threadmill_store::ImportRow;

use crate::private;
use crate::transfer::{Library, Place};

/// Threads come oldest first, so that an import leaves the list in the same order.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill export --data ./data > all.jsonl\n  \
    threadmill export --url http://127.0.0.1:7430 --thread 0198… --output thread.jsonl")]
pub(crate) struct Export {
    #[command(flatten)]
    place: Place,
    /// A thread to write; may be repeated [default: all, archived ones too]
    #[arg(long = "thread", value_name = "ID")]
    threads: Vec<String>,
    /// The file to write [default: standard output]
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,
}

/// Where an export goes. A file gets its name once it is whole: what was there before stays until then, and what a full
/// disk has cut off is not taken for an export.
struct Target {
    out: BufWriter<Box<dyn Write + Send>>,
    /// What messages call it.
    name: String,
    partial: Option<Partial>,
}

/// A file that is not whole yet; removed unless it gets there.
struct Partial {
    file: File,
    at: PathBuf,
    whole: PathBuf,
}

impl Drop for Partial {
    fn drop(&mut self) {
        // After the renaming there is nothing of this name, and of a failure there are better words than of this one.
        let _ = std::fs::remove_file(&self.at);
    }
}

impl Target {
    fn open(path: Option<&Path>) -> anyhow::Result<Self> {
        let Some(path) = path else {
            return Ok(Self::of(std::io::stdout(), "the standard output".into(), None));
        };
        let name = path.display().to_string();
        let cannot = || format!("{name} cannot be written");
        if path.is_dir() {
            bail!("{name} is a directory: name a file in it");
        }
        // A device or a pipe is written to as it is.
        if path.exists() && !path.is_file() {
            let file = File::create(path).with_context(cannot)?;
            return Ok(Self::of(file, name, None));
        }
        // Where a link leads to, if it does.
        let whole = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        let mut at = whole.clone().into_os_string();
        at.push(format!(".{}.partial", std::process::id()));
        let file = File::create(&at).with_context(cannot)?;
        let out = file.try_clone().with_context(cannot)?;
        Ok(Self::of(out, name, Some(Partial { file, at: at.into(), whole })))
    }

    fn of(out: impl Write + Send + 'static, name: String, partial: Option<Partial>) -> Self {
        Self { out: BufWriter::new(Box::new(out)), name, partial }
    }

    fn line(&mut self, line: &Value) -> anyhow::Result<()> {
        writeln!(self.out, "{line}").with_context(|| format!("{} cannot be written", self.name))
    }

    fn finish(mut self) -> anyhow::Result<()> {
        let Self { out, name, partial } = &mut self;
        let done = out.flush().and_then(|()| match partial {
            None => Ok(()),
            Some(Partial { file, at, whole }) => file.sync_all().and_then(|()| std::fs::rename(at, whole)),
        });
        done.with_context(|| format!("{name} cannot be written"))
    }
}

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        private::from_here_on();
        self.place.must_exist()?;
        let mut opened = self.place.open()?;
        let mut out = Target::open(self.output.as_deref())?;
        let threads = if self.threads.is_empty() {
            all(opened.library.as_mut()).await?
        } else {
            self.threads.iter().map(|id| ThreadId::parse(id)).collect::<Result<_, _>>()?
        };
        for thread in threads {
            let written = one(opened.library.as_mut(), &thread, &mut out).await;
            written.with_context(|| format!("thread {thread}"))?;
        }
        out.finish()?;
        opened.close().await?;
        Ok(ExitCode::SUCCESS)
    }
}

async fn all(library: &mut dyn Library) -> anyhow::Result<Vec<ThreadId>> {
    let mut found = Vec::new();
    for archived in [false, true] {
        let mut below = None;
        loop {
            let (page, next) = library.threads(archived, below).await?;
            found.extend(page);
            below = next;
            if below.is_none() {
                break;
            }
        }
    }
    found.sort_by_key(|summary| summary.pos);
    Ok(found.into_iter().map(|summary| summary.thread).collect())
}

async fn one(library: &mut dyn Library, thread: &ThreadId, out: &mut Target) -> anyhow::Result<()> {
    let (mut from, mut messages, mut branches) = (0, 0, 0);
    loop {
        let page = library.export(thread, from).await?;
        if from == 0 {
            out.line(&lines::head(&page.thread))?;
        }
        for row in &page.rows {
            match row {
                ImportRow::Branch { .. } => branches += 1,
                ImportRow::Message(_) => messages += 1,
            }
            out.line(&rows::to_value(row))?;
        }
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    out.line(&lines::end(messages, branches))
}
