//! `threadmill export`.

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use threadmill_formats::{lines, rows};
use threadmill_proto::ThreadId;
use threadmill_store::ImportRow;

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

impl Export {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        self.place.must_exist()?;
        let mut opened = self.place.open()?;
        let mut out: Box<dyn Write + Send> = match &self.output {
            Some(path) => {
                let file = File::create(path).with_context(|| format!("{} cannot be written", path.display()))?;
                Box::new(BufWriter::new(file))
            }
            None => Box::new(BufWriter::new(std::io::stdout())),
        };
        let threads = if self.threads.is_empty() {
            all(opened.library.as_mut()).await?
        } else {
            self.threads.iter().map(|id| ThreadId::parse(id)).collect::<Result<_, _>>()?
        };
        for thread in threads {
            one(opened.library.as_mut(), &thread, out.as_mut()).await.with_context(|| format!("thread {thread}"))?;
        }
        out.flush()?;
        drop(out);
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

async fn one(library: &mut dyn Library, thread: &ThreadId, out: &mut (dyn Write + Send)) -> anyhow::Result<()> {
    let (mut from, mut messages, mut branches) = (0, 0, 0);
    loop {
        let page = library.export(thread, from).await?;
        if from == 0 {
            writeln!(out, "{}", lines::head(&page.thread))?;
        }
        for row in &page.rows {
            match row {
                ImportRow::Branch { .. } => branches += 1,
                ImportRow::Message(_) => messages += 1,
            }
            writeln!(out, "{}", rows::to_value(row))?;
        }
        match page.next {
            Some(next) => from = next,
            None => break,
        }
    }
    writeln!(out, "{}", lines::end(messages, branches))?;
    Ok(())
}
