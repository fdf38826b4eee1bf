//! What a reader heard of an answer: what follows from what came before it, and what does not.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde_json::Value;
use threadmill_client::Event;

/// What a reader heard of one answer.
#[derive(Debug, Default)]
pub(super) struct Heard {
    run: String,
    /// The cursor after what was heard last.
    pub(super) cursor: String,
    seq: Option<u64>,
    pub(super) offset: u64,
    pub(super) text: String,
    pub(super) pieces: usize,
    /// What did not follow from what was before it.
    pub(super) faults: Vec<String>,
    /// The server started the reader over, which it may do.
    pub(super) resets: usize,
    pub(super) outcome: Option<String>,
    pub(super) first: Option<Instant>,
    pub(super) ended: Option<Instant>,
    /// The reader went away here.
    pub(super) left: Option<u64>,
}

impl Heard {
    pub(super) fn of(run: &str) -> Self {
        Self { run: run.into(), ..Self::default() }
    }

    pub(super) fn take(&mut self, event: &Event) -> anyhow::Result<()> {
        if event.data().is_empty() {
            return Ok(());
        }
        let data: Value = serde_json::from_slice(event.data()).context("an event is no JSON")?;
        match event.name() {
            b"chunks" if data["run"] == self.run.as_str() => self.chunks(&data),
            b"change" => self.change(&data),
            b"advance" => self.seq = data["seq"].as_u64().or(self.seq),
            b"reset" => self.resets += 1,
            b"problem" => bail!("the stream ended: {}", data["detail"].as_str().unwrap_or_default()),
            _ => {}
        }
        if !event.id().is_empty() {
            self.cursor = String::from_utf8_lossy(event.id()).into_owned();
        }
        Ok(())
    }

    fn chunks(&mut self, data: &Value) {
        let (from, to) = (data["from"].as_u64().unwrap_or_default(), data["to"].as_u64().unwrap_or_default());
        if from != self.offset {
            let what = if from < self.offset { "came again" } else { "are missing before" };
            self.faults.push(format!("pieces {what}: {from}..{to} after {}", self.offset));
        }
        if self.outcome.is_some() {
            self.faults.push(format!("pieces {from}..{to} came after the end"));
        }
        self.offset = to;
        self.pieces += 1;
        self.first.get_or_insert_with(Instant::now);
        let chunks = data["chunks"].as_array().into_iter().flatten();
        let deltas = chunks.filter(|chunk| chunk["type"] == "text-delta").filter_map(|chunk| chunk["delta"].as_str());
        self.text.extend(deltas);
    }

    fn change(&mut self, data: &Value) {
        let Some(seq) = data["seq"].as_u64() else {
            self.faults.push("a change without a number".into());
            return;
        };
        if let Some(last) = self.seq.filter(|last| last + 1 != seq) {
            self.faults.push(format!("change {seq} came after {last}"));
        }
        self.seq = Some(seq);
        let change = &data["change"];
        if change["type"] == "run-ended" && change["run"] == self.run.as_str() {
            if self.outcome.is_some() {
                self.faults.push("the answer ended twice".into());
            }
            if let Some(offset) = change["offset"].as_u64().filter(|offset| *offset != self.offset) {
                self.faults.push(format!("the answer ended at {offset}, and {} was heard", self.offset));
            }
            self.outcome = change["outcome"].as_str().map(Into::into);
            self.ended.get_or_insert_with(Instant::now);
        }
    }
}

/// An answer, as two readers heard it.
pub(super) struct Streamed {
    /// Who read without a break.
    pub(super) whole: Heard,
    /// Who went away and resumed.
    pub(super) broken: Heard,
    /// The stored message's text at each node, and its status.
    pub(super) stored: Vec<(String, String)>,
    /// From the question to the first piece, and to the end.
    pub(super) first_piece: Duration,
    pub(super) whole_time: Duration,
    pub(super) provider: String,
}
