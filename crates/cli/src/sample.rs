//! What a first start brings: a library of real conversations and the corpus that `replay` answers from.
//!
//! Both are made at build time by `scripts/sample.py` from two packages and embedded. Where that could not run,
//! the few lines of `fallback/`, in the project's own words, stand in.

use std::borrow::Cow;
use std::io::Cursor;
use std::sync::Arc;

use rust_embed::RustEmbed;
use threadmill_engine::providers::replay::Pair;
use threadmill_store::DurableStore;

use crate::import;
use crate::transfer::{Local, local_scope};

#[derive(RustEmbed)]
#[folder = "../../target/sample"]
#[allow_missing = true]
struct Built;

#[derive(RustEmbed)]
#[folder = "fallback"]
struct Fallback;

fn file(name: &str) -> Cow<'static, [u8]> {
    Built::get(name).or_else(|| Fallback::get(name)).map(|file| file.data).unwrap_or_default()
}

/// Questions and answers for `replay`: one `{"q":…,"a":…}` a line.
pub(crate) fn corpus() -> Vec<Pair> {
    #[derive(serde::Deserialize)]
    struct Line {
        q: String,
        a: String,
    }
    let bytes = file("replay.jsonl");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    lines
        .filter_map(|line| serde_json::from_slice::<Line>(line).ok())
        .map(|line| Pair { question: line.q, answer: line.a })
        .collect()
}

/// Texts of real messages, for filling libraries.
pub(crate) fn texts() -> Vec<String> {
    let bytes = file("threads.jsonl");
    let lines = bytes.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    let text = |line: &[u8]| {
        let row: serde_json::Value = serde_json::from_slice(line).ok()?;
        row.pointer("/message/parts/0/text").and_then(|text| text.as_str()).map(str::to_owned)
    };
    lines.filter_map(text).filter(|text| !text.is_empty()).collect()
}

/// One of them: what a bench's client says after so many messages.
pub(crate) fn text(texts: &[String], client: usize, written: u64) -> &str {
    let number = client * 31 + usize::try_from(written).unwrap_or_default();
    texts.get(number % texts.len().max(1)).map_or("hello", String::as_str)
}

/// Brings the library in for the user `local`.
pub(crate) async fn install(store: &Arc<dyn DurableStore>) -> anyhow::Result<()> {
    let mut target = Local::new(Arc::clone(store), local_scope("local")?);
    let bytes = file("threads.jsonl");
    let summary = import::lines(&mut Cursor::new(bytes), "sample", &mut target, &import::Quiet).await?;
    eprintln!("threadmill: brought a sample library of {} threads, {} messages", summary.imported, summary.messages);
    Ok(())
}
