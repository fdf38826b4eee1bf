//! Builds what browsers run, the core and the page's Markdown: cargo, then `wasm-opt` if npm brought it.

use crate::fuel;
use anyhow::{Context, Result, bail};
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "wasm32-unknown-unknown";

/// What every browser of the last two years has. Named one by one: with `--all-features` binaryen writes
/// compact imports, which Chromium 156 refuses.
const FEATURES: [&str; 6] = [
    "--enable-bulk-memory",
    "--enable-mutable-globals",
    "--enable-nontrapping-float-to-int",
    "--enable-sign-ext",
    "--enable-reference-types",
    "--enable-multivalue",
];

/// How small is made, by trial on the module compressed with brotli. Inlining makes it smaller raw and larger
/// compressed. Addresses below 1024 are the far end of the stack, which the linker puts first: nothing is there.
const SMALLER: [&str; 5] = [
    "-Oz",
    "--low-memory-unused",
    "--always-inline-max-function-size=0",
    "--flexible-inline-max-function-size=0",
    "--one-caller-inline-max-function-size=0",
];

/// Sections that tools read and browsers do not.
const STRIP: [&str; 3] = ["--strip-debug", "--strip-producers", "--strip-target-features"];

/// A module for browsers: the crate it is made of and where it goes.
struct Built {
    package: &'static str,
    file: &'static str,
    to: &'static str,
    guard: Guard,
}

/// Whether a module can be stopped by its host.
#[derive(PartialEq, Eq)]
enum Guard {
    /// It works on what the server sends.
    Unneeded,
    /// It works on what anybody wrote: see `fuel.rs`.
    Fuel,
}

const CORE: Built = Built {
    package: "threadmill-wasm",
    file: "threadmill_wasm.wasm",
    to: "packages/client/wasm/threadmill.wasm",
    guard: Guard::Unneeded,
};
const MARKDOWN: Built = Built {
    package: "threadmill-markdown-wasm",
    file: "threadmill_markdown_wasm.wasm",
    to: "apps/chat/wasm/markdown.wasm",
    guard: Guard::Fuel,
};

/// Builds the browser's core into `packages/client/wasm` and the page's Markdown into `apps/chat/wasm`.
pub(crate) fn run(root: &Path) -> Result<()> {
    ensure_target()?;
    for module in [CORE, MARKDOWN] {
        let built = build(root, &module)?;
        let wasm = root.join(module.to);
        if let Some(out) = wasm.parent() {
            std::fs::create_dir_all(out).with_context(|| format!("{} cannot be made", out.display()))?;
        }
        let mut bytes = std::fs::read(&built).with_context(|| format!("{} cannot be read", built.display()))?;
        if module.guard == Guard::Fuel {
            bytes = fuel::add(&bytes)?;
        }
        std::fs::write(&wasm, bytes).with_context(|| format!("{} cannot be written", wasm.display()))?;
        optimise(root, &wasm)?;
        println!("{}: {} bytes", wasm.display(), std::fs::metadata(&wasm)?.len());
    }
    Ok(())
}

/// Builds `crates/wasm` and says where the module is.
pub(crate) fn compile(root: &Path) -> Result<PathBuf> {
    build(root, &CORE)
}

/// Builds `crates/markdown-wasm`, before it gets its fuel, and says where the module is.
pub(crate) fn compile_markdown(root: &Path) -> Result<PathBuf> {
    build(root, &MARKDOWN)
}

fn build(root: &Path, module: &Built) -> Result<PathBuf> {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let status = Command::new(cargo)
        .args(["build", "--package", module.package, "--target", TARGET, "--profile", "wasm"])
        .current_dir(root)
        .status()
        .context("cargo could not be started")?;
    if !status.success() {
        bail!("{} does not build for {TARGET}", module.package);
    }
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| root.join("target"), PathBuf::from);
    Ok(target.join(TARGET).join("wasm").join(module.file))
}

fn ensure_target() -> Result<()> {
    let sysroot = Command::new("rustc").args(["--print", "target-libdir", "--target", TARGET]).output();
    let sysroot = sysroot.context("rustc could not be started")?;
    let libdir = PathBuf::from(String::from_utf8_lossy(&sysroot.stdout).trim());
    if libdir.is_dir() {
        return Ok(());
    }
    let added = Command::new("rustup").args(["target", "add", TARGET]).status();
    if !added.is_ok_and(|status| status.success()) {
        bail!("the Rust target {TARGET} is missing and `rustup target add {TARGET}` failed: install it and run again");
    }
    Ok(())
}

/// Makes the module a fifth smaller; without npm's `binaryen` it is left as it is.
fn optimise(root: &Path, wasm: &Path) -> Result<()> {
    let tool = root.join("node_modules/binaryen/bin/wasm-opt");
    if !tool.exists() {
        println!("wasm-opt is not installed (npm ci brings it): the module stays a little larger");
        return Ok(());
    }
    let status = Command::new(&tool).args(SMALLER).args(STRIP).args(FEATURES).arg(wasm).arg("-o").arg(wasm).status();
    if !status.context("wasm-opt could not be started; it needs node")?.success() {
        bail!("wasm-opt refused {}", wasm.display());
    }
    Ok(())
}
