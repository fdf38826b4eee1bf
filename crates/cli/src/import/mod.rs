//! `threadmill import`: conversations from files of any size, line by line.
//!
//! A thread that cannot be read is skipped whole, with the reason and where. What is there already is left
//! as it is, so that importing twice changes nothing.

mod oasst;

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::SystemTime;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;
use serde_json::Value;
use threadmill_formats::lines::{self as format, Line};
use threadmill_proto::json::value_from_slice;
use threadmill_proto::{BranchId, ThreadId};
use threadmill_store::{ImportRow, ImportState, ImportThread};
use uuid::Uuid;

use crate::transfer::{Library, Place, Refusal, Step};

/// A longer line is no conversation.
const MAX_LINE: u64 = 64 << 20;
const BOM: &[u8] = b"\xef\xbb\xbf";
/// Rows that go together, unless their texts reach [`BATCH_BYTES`] first.
const BATCH_ROWS: usize = 500;
const BATCH_BYTES: usize = 512 << 10;
/// Skipped threads that are named; a source without an end may bring any number.
const MAX_SKIPPED: usize = 1_000;

/// Reads Open Assistant trees and what `threadmill export` writes; the file's lines say which.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  threadmill import trees.jsonl --data ./data\n  \
    threadmill import *.jsonl --url http://127.0.0.1:7430 --user ada --json\n\n\
    Exit status: 0 if every thread was imported or there already, 3 if some were skipped or a file changed while it \
    was read, 1 on failure.")]
pub(crate) struct Import {
    /// Files to read, one JSON value a line
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    /// Print the summary as JSON
    #[arg(long)]
    json: bool,
}

/// What an import did.
#[derive(Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Summary {
    /// Threads that are new.
    pub(crate) imported: u64,
    /// Threads that were there already.
    pub(crate) unchanged: u64,
    /// Messages in the new threads.
    pub(crate) messages: u64,
    /// Branches in the new threads.
    pub(crate) branches: u64,
    /// Threads that were skipped, and why: the first [`MAX_SKIPPED`].
    pub(crate) skipped: Vec<Skipped>,
    /// How many more were, if any.
    #[serde(skip_serializing_if = "is_none")]
    pub(crate) more_skipped: u64,
    /// Files that were written to while they were read, if any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub(crate) changed: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks by reference")]
fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What tells a file that was written to.
#[derive(PartialEq, Eq)]
struct Looks {
    bytes: u64,
    modified: Option<SystemTime>,
}

impl Looks {
    fn of(file: &File) -> anyhow::Result<Self> {
        let found = file.metadata()?;
        // Of a pipe or a device they say nothing.
        let modified = found.is_file().then(|| found.modified().ok()).flatten();
        Ok(Self { bytes: if found.is_file() { found.len() } else { 0 }, modified })
    }
}

/// A thread that was skipped.
#[derive(Debug, Serialize)]
pub(crate) struct Skipped {
    pub(crate) file: String,
    pub(crate) line: u64,
    pub(crate) reason: String,
}

/// Is told how many bytes were read.
pub(crate) trait Progress: Sync {
    fn read(&self, bytes: u64);
}

/// Tells nobody.
pub(crate) struct Quiet;

impl Progress for Quiet {
    fn read(&self, _: u64) {}
}

impl Progress for ProgressBar {
    fn read(&self, bytes: u64) {
        self.inc(bytes);
    }
}

impl Import {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        crate::private::from_here_on();
        let mut sizes = 0;
        for file in &self.files {
            let found = file.metadata().with_context(|| format!("{} cannot be read", file.display()))?;
            if found.is_dir() {
                anyhow::bail!("{} is a directory: name the files in it", file.display());
            }
            sizes += found.len();
        }
        let mut opened = self.place.open()?;
        let bar = ProgressBar::new(sizes)
            .with_style(ProgressStyle::with_template("{bar:32} {bytes}/{total_bytes} {bytes_per_sec} {eta} left")?);
        let mut total = Summary::default();
        for path in &self.files {
            let file = File::open(path).with_context(|| format!("{} cannot be opened", path.display()))?;
            let name = path.display().to_string();
            let before = Looks::of(&file)?;
            let mut reader = BufReader::new(file);
            let summary = lines(&mut reader, &name, opened.library.as_mut(), &bar).await?;
            total.add(summary);
            if before != Looks::of(reader.get_ref())? {
                total.changed.push(name);
            }
        }
        bar.finish_and_clear();
        opened.close().await?;
        total.print(self.json)?;
        let all = total.skipped.is_empty() && total.changed.is_empty();
        Ok(if all { ExitCode::SUCCESS } else { ExitCode::from(3) })
    }
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.imported += other.imported;
        self.unchanged += other.unchanged;
        self.messages += other.messages;
        self.branches += other.branches;
        self.more_skipped += other.more_skipped;
        other.skipped.into_iter().for_each(|skipped| self.skip(skipped));
        self.changed.extend(other.changed);
    }

    fn skip(&mut self, skipped: Skipped) {
        if self.skipped.len() < MAX_SKIPPED {
            self.skipped.push(skipped);
        } else {
            self.more_skipped += 1;
        }
    }

    fn print(&self, json: bool) -> anyhow::Result<()> {
        if json {
            println!("{}", serde_json::to_string(self)?);
            return Ok(());
        }
        println!("imported {} threads with {} messages on {} branches", self.imported, self.messages, self.branches);
        if self.unchanged > 0 {
            println!("{} threads were there already and are unchanged", self.unchanged);
        }
        for skipped in &self.skipped {
            println!("skipped {}:{}: {}", skipped.file, skipped.line, skipped.reason);
        }
        if self.more_skipped > 0 {
            println!("skipped {} more", self.more_skipped);
        }
        for file in &self.changed {
            println!("{file} changed while it was read: import it again once nobody writes to it");
        }
        Ok(())
    }
}

/// Imports every thread of a file.
pub(crate) async fn lines(
    reader: &mut impl BufRead,
    file: &str,
    library: &mut dyn Library,
    progress: &dyn Progress,
) -> anyhow::Result<Summary> {
    let mut job = Job { library, file, line: 0, open: None, skipping: false, summary: Summary::default() };
    let mut buffer = Vec::new();
    loop {
        buffer.clear();
        let read = std::io::Read::take(&mut *reader, MAX_LINE).read_until(b'\n', &mut buffer);
        let read = read.with_context(|| format!("{file}:{}: the rest cannot be read", job.line + 1))?;
        if read == 0 {
            break;
        }
        progress.read(read as u64);
        job.line += 1;
        if read as u64 == MAX_LINE && buffer.last() != Some(&b'\n') {
            anyhow::bail!("{file}:{}: the line is longer than {} MiB", job.line, MAX_LINE >> 20);
        }
        // Editors and other tools begin files with a byte order mark.
        let text = if job.line == 1 { buffer.strip_prefix(BOM).unwrap_or(&buffer) } else { &buffer };
        if !text.trim_ascii().is_empty() {
            job.line(text).await?;
        }
    }
    job.end_of_file().await?;
    Ok(job.summary)
}

/// A thread being imported.
struct Open {
    id: ThreadId,
    /// It is new; otherwise its rows are read and dropped.
    new: bool,
    line: u64,
    default_branch: Option<BranchId>,
    batch: Vec<ImportRow>,
    bytes: usize,
    messages: u64,
    branches: u64,
}

struct Job<'a> {
    library: &'a mut dyn Library,
    file: &'a str,
    line: u64,
    open: Option<Open>,
    /// The rows of a thread that was skipped are passed over.
    skipping: bool,
    summary: Summary,
}

impl Job<'_> {
    async fn line(&mut self, bytes: &[u8]) -> anyhow::Result<()> {
        let done = match value_from_slice(bytes) {
            Err(error) => {
                // The position within the line is the column; the line is ours.
                let why = format!("not JSON at column {}: {}", error.column(), plain(&error));
                Err(Refusal::Thread(why))
            }
            Ok(value) => self.value(value).await,
        };
        self.settle(done).await
    }

    /// Skips the thread at fault; fails if the library is.
    async fn settle(&mut self, done: Step<()>) -> anyhow::Result<()> {
        let Err(refusal) = done else { return Ok(()) };
        match refusal {
            Refusal::Target(error) => Err(error.context(format!("{}:{}", self.file, self.line))),
            Refusal::Thread(reason) => {
                if let Some(open) = self.open.take()
                    && open.new
                    && let Err(Refusal::Target(error)) = self.library.abort(&open.id).await
                {
                    return Err(error);
                }
                if !self.skipping {
                    self.summary.skip(Skipped { file: self.file.into(), line: self.line, reason });
                }
                self.skipping = true;
                Ok(())
            }
        }
    }

    async fn value(&mut self, value: Value) -> Step<()> {
        if oasst::is_tree(&value) {
            self.close_unfinished().await?;
            return self.tree(value).await;
        }
        match format::line(value).map_err(Refusal::Thread)? {
            Line::Thread { thread, default_branch } => {
                self.close_unfinished().await?;
                self.begin(thread, Some(default_branch)).await
            }
            Line::Row(row) => self.row(*row).await,
            Line::End { messages, branches } => self.end(messages, branches).await,
        }
    }

    /// A new thread begins. If the one before has not ended, that one is skipped.
    async fn close_unfinished(&mut self) -> Step<()> {
        if let Some(open) = &self.open {
            let why = format!("the thread {} that begins at line {} has no end", open.id, open.line);
            self.settle(Err(Refusal::Thread(why))).await.map_err(Refusal::Target)?;
        }
        self.skipping = false;
        Ok(())
    }

    async fn tree(&mut self, value: Value) -> Step<()> {
        let tree = oasst::read(value).map_err(Refusal::Thread)?;
        let id = derived(&self.library.owner(), "oasst", &tree.id);
        self.begin(tree.thread(id), None).await?;
        let (messages, branches) = (tree.messages(), tree.branches());
        for row in tree.rows {
            self.row(row).await?;
        }
        self.end(messages, branches).await
    }

    async fn begin(&mut self, mut thread: ImportThread, default_branch: Option<BranchId>) -> Step<()> {
        let mut state = self.library.begin(thread.clone()).await?;
        if state == ImportState::Taken {
            // Somebody else has a thread of this id; this user's copy gets one of its own, the same every time.
            thread.id = derived(&self.library.owner(), "thread", thread.id.as_str());
            state = self.library.begin(thread.clone()).await?;
        }
        if state == ImportState::Taken {
            return Err(Refusal::Thread("its id belongs to somebody else".into()));
        }
        self.open = Some(Open {
            id: thread.id,
            new: state == ImportState::Begun,
            line: self.line,
            default_branch,
            batch: Vec::new(),
            bytes: 0,
            messages: 0,
            branches: 0,
        });
        Ok(())
    }

    async fn row(&mut self, row: ImportRow) -> Step<()> {
        if self.skipping {
            return Ok(());
        }
        let Some(open) = &mut self.open else { return Err(Refusal::Thread("a row outside of a thread".into())) };
        match &row {
            ImportRow::Branch { .. } => open.branches += 1,
            ImportRow::Message(message) => {
                open.messages += 1;
                open.bytes += message.bytes();
            }
        }
        open.batch.push(row);
        if open.batch.len() >= BATCH_ROWS || open.bytes >= BATCH_BYTES { self.flush().await } else { Ok(()) }
    }

    async fn flush(&mut self) -> Step<()> {
        let Some(open) = &mut self.open else { return Ok(()) };
        open.bytes = 0;
        let rows = std::mem::take(&mut open.batch);
        if open.new && !rows.is_empty() { self.library.rows(&open.id, rows).await } else { Ok(()) }
    }

    async fn end(&mut self, messages: u64, branches: u64) -> Step<()> {
        if self.skipping {
            return Ok(());
        }
        self.flush().await?;
        let Some(open) = &self.open else { return Err(Refusal::Thread("an end outside of a thread".into())) };
        if (open.messages, open.branches) != (messages, branches) {
            let why = format!(
                "the end says {messages} messages on {branches} branches, but {} on {} were there",
                open.messages, open.branches
            );
            return Err(Refusal::Thread(why));
        }
        if open.new {
            self.library.finish(&open.id, open.default_branch.clone()).await?;
            self.summary.imported += 1;
            self.summary.messages += messages;
            self.summary.branches += branches;
        } else {
            self.summary.unchanged += 1;
        }
        self.open = None;
        Ok(())
    }

    async fn end_of_file(&mut self) -> anyhow::Result<()> {
        let done = match &self.open {
            None => Ok(()),
            Some(open) => Err(Refusal::Thread(format!("the file ends within the thread of line {}", open.line))),
        };
        self.settle(done).await
    }
}

/// The parser's words without the position, which counts within the line.
fn plain(error: &serde_json::Error) -> String {
    let text = error.to_string();
    text.split(" at line ").next().unwrap_or_default().to_owned()
}

/// An id that is the same at every import by this owner, and another for every other owner.
fn derived(owner: &str, kind: &str, id: &str) -> ThreadId {
    let name = format!("{owner}/{kind}/{id}");
    let text = Uuid::new_v5(&Uuid::NAMESPACE_OID, name.as_bytes()).to_string();
    ThreadId::parse(&text).unwrap_or_else(|_| unreachable!("a UUID is a valid id"))
}
