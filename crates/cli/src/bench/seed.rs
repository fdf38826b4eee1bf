//! `threadmill bench seed`: threads of any length from the sample's real text.

use std::process::ExitCode;

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use threadmill_proto::{BranchId, Message, MessageId, MessageStatus, Part, Role, ThreadId};
use threadmill_store::{ImportRow, ImportState, ImportThread};

use crate::sample;
use crate::transfer::{Library, Place, Refusal};

const BATCH: u64 = 2000;
/// 2024-01-01; a minute a message from there.
const START: u64 = 1_704_067_200_000;

/// The thread is `bench-N` with messages `m-DEPTH` on the branch `main`, so that a reader can check what it reads.
#[derive(Debug, Args)]
pub(crate) struct Seed {
    #[command(flatten)]
    place: Place,
    /// Messages in the thread
    #[arg(long, default_value_t = 1_000_000)]
    messages: u64,
    /// Forks deep in it, spread evenly, each with two messages of its own
    #[arg(long, default_value_t = 3)]
    forks: u64,
    /// Forks nested in one another at the end of it, as repeated edits of the last message make them
    #[arg(long, default_value_t = 0)]
    nested: u64,
    /// The thread's id [default: bench-MESSAGES]
    #[arg(long)]
    id: Option<String>,
}

impl Seed {
    pub(crate) async fn run(self) -> anyhow::Result<ExitCode> {
        let texts = sample::texts();
        anyhow::ensure!(!texts.is_empty(), "the binary has no sample text");
        let mut opened = self.place.open()?;
        let id = self.id.clone().unwrap_or_else(|| format!("bench-{}", self.messages));
        let thread = ThreadId::parse(&id)?;
        let head = ImportThread {
            id: thread.clone(),
            title: format!("{} messages", self.messages),
            metadata: None,
            archived: false,
            created_at: START,
            updated_at: START + self.messages * 60_000,
        };
        let library = opened.library.as_mut();
        match step(library.begin(head).await)? {
            ImportState::Begun => self.fill(library, &thread, &texts).await?,
            ImportState::AlreadyThere => println!("{id} is there already"),
            ImportState::Taken => anyhow::bail!("{id} belongs to somebody else"),
        }
        opened.close().await?;
        Ok(ExitCode::SUCCESS)
    }

    async fn fill(&self, library: &mut dyn Library, thread: &ThreadId, texts: &[String]) -> anyhow::Result<()> {
        let style = ProgressStyle::with_template("{bar:32} {pos}/{len} messages {per_sec} {eta} left")?;
        let bar = ProgressBar::new(self.messages).with_style(style);
        let main = BranchId::parse("main")?;
        let mut rows = vec![ImportRow::Branch { id: main.clone(), parent: None, fork_depth: 0 }];
        for depth in 0..self.messages {
            rows.push(message(&format!("m-{depth}"), &main, depth, texts)?);
            if rows.len() as u64 >= BATCH {
                step(library.rows(thread, std::mem::take(&mut rows)).await)?;
                bar.set_position(depth + 1);
            }
        }
        self.forks(&mut rows, &main, texts)?;
        self.nested(&mut rows, &main, texts)?;
        for batch in rows.chunks(usize::try_from(BATCH)?) {
            step(library.rows(thread, batch.to_vec()).await)?;
        }
        step(library.finish(thread, Some(main)).await)?;
        bar.finish_and_clear();
        println!("{thread}: {} messages, {} forks, {} nested forks", self.messages, self.forks, self.nested);
        Ok(())
    }

    fn forks(&self, rows: &mut Vec<ImportRow>, main: &BranchId, texts: &[String]) -> anyhow::Result<()> {
        for fork in 1..=self.forks {
            let depth = self.messages * fork / (self.forks + 1);
            let branch = BranchId::parse(&format!("fork-{fork}"))?;
            rows.push(ImportRow::Branch { id: branch.clone(), parent: Some(main.clone()), fork_depth: depth });
            for next in 0..2 {
                rows.push(message(&format!("f{fork}-{next}"), &branch, depth + next, texts)?);
            }
        }
        Ok(())
    }

    /// Each forks off the one before, one slot further on.
    fn nested(&self, rows: &mut Vec<ImportRow>, main: &BranchId, texts: &[String]) -> anyhow::Result<()> {
        let mut parent = main.clone();
        for nested in 0..self.nested {
            let depth = self.messages + nested - 1;
            let branch = BranchId::parse(&format!("nested-{nested}"))?;
            rows.push(ImportRow::Branch { id: branch.clone(), parent: Some(parent), fork_depth: depth });
            for next in 0..2 {
                rows.push(message(&format!("n{nested}-{next}"), &branch, depth + next, texts)?);
            }
            parent = branch;
        }
        Ok(())
    }
}

fn message(id: &str, branch: &BranchId, depth: u64, texts: &[String]) -> anyhow::Result<ImportRow> {
    let text = &texts[usize::try_from(depth)? % texts.len()];
    Ok(ImportRow::Message(Message {
        id: MessageId::parse(id)?,
        role: if depth.is_multiple_of(2) { Role::User } else { Role::Assistant },
        parts: vec![Part::text(text.as_str())],
        metadata: None,
        status: MessageStatus::Complete,
        branch: branch.clone(),
        depth,
        rev: 1,
        created_at: START + depth * 60_000,
        previews: Vec::new(),
    }))
}

fn step<T>(done: Result<T, Refusal>) -> anyhow::Result<T> {
    done.map_err(|refusal| match refusal {
        Refusal::Thread(why) => anyhow::anyhow!(why),
        Refusal::Target(error) => error,
    })
}
