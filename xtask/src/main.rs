//! `cargo xtask`: what the build needs beyond cargo itself. No tool has to be installed by hand.

mod fuel;
mod layers;
mod tidy;
mod typescript;
mod wasm;

use std::path::PathBuf;
use std::process::ExitCode;

const USAGE: &str =
    "cargo xtask wasm   build packages/client/wasm from crates/wasm, and the page's Markdown from crates/markdown-wasm
cargo xtask tidy   check what no compiler checks: file headers, file lengths, layers, what core imports";

fn main() -> ExitCode {
    let task = std::env::args().nth(1);
    let done = match task.as_deref() {
        Some("wasm") => wasm::run(&root()),
        Some("tidy") => tidy::run(&root()),
        Some(_) | None => Err(anyhow::anyhow!("{USAGE}")),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The workspace: the directory above this crate.
fn root() -> PathBuf {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    here.parent().map_or_else(|| here.clone(), PathBuf::from)
}
