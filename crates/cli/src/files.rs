//! Files that an operator names, read once and up to a bound: settings that are believed must not be what is left of a pipe, and
//! nothing that is read here can hang a reload or fill the memory.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use anyhow::{Context as _, bail, ensure};
use rustix::fs::OFlags;

/// Bytes of a configuration at the most.
pub(crate) const CONFIG: u64 = 1 << 20;
/// Bytes of a secret, or of some of them, at the most.
pub(crate) const SECRET: u64 = 64 << 10;
/// Bytes of certificates at the most: a system's whole store is about 250 KiB.
pub(crate) const CERTIFICATES: u64 = 4 << 20;

/// What was read of a path before. A pipe says its text once, so that is kept for the life of the process.
enum Before {
    WasFile,
    Said(String),
}

static BEFORE: Mutex<BTreeMap<PathBuf, Before>> = Mutex::new(BTreeMap::new());

/// The text of a regular file of at most so many bytes. A pipe or a device is refused, since it may keep its reader waiting.
pub(crate) fn text(path: &Path, most: u64) -> anyhow::Result<String> {
    let cannot = || format!("{} cannot be read", path.display());
    // Opening a pipe waits for whoever writes to it, unless told not to.
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let file = File::options().read(true).custom_flags(flags).open(path).with_context(cannot)?;
    ensure!(file.metadata().with_context(cannot)?.is_file(), "{} is no regular file", path.display());
    bounded(file, path, most)
}

/// The text of a configuration, whatever it is in: a file, or a pipe or device, of which the text is kept and given again. One
/// that says nothing is refused: a program that failed would else be taken for a configuration of defaults.
pub(crate) fn configuration(path: &Path) -> anyhow::Result<String> {
    let cannot = || format!("the configuration file {} cannot be read", path.display());
    let mut before = BEFORE.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(Before::Said(text)) = before.get(path) {
        return Ok(text.clone());
    }
    let found = std::fs::metadata(path).with_context(cannot)?;
    if found.is_file() {
        let text = text(path, CONFIG)?;
        before.insert(path.to_owned(), Before::WasFile);
        return Ok(text);
    }
    ensure!(!found.is_dir(), "the configuration file {} is a directory", path.display());
    if before.contains_key(path) {
        bail!("the configuration file {} is no regular file any more", path.display());
    }
    let text = bounded(File::open(path).with_context(cannot)?, path, CONFIG)?;
    ensure!(!text.trim().is_empty(), "there is no configuration in {}: nothing was written to it", path.display());
    before.insert(path.to_owned(), Before::Said(text.clone()));
    Ok(text)
}

fn bounded(file: File, path: &Path, most: u64) -> anyhow::Result<String> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes).with_context(|| format!("{} cannot be read", path.display()))?;
    ensure!(bytes.len() as u64 <= most, "{} has more than {} KiB", path.display(), most >> 10);
    String::from_utf8(bytes).ok().with_context(|| format!("{} is no text", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pipe(path: &Path) {
        let made = std::process::Command::new("mkfifo").arg(path).status().expect("there is mkfifo");
        assert!(made.success());
    }

    #[test]
    fn what_may_never_end_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
        pipe(&fifo);
        for path in [&fifo, Path::new("/dev/zero"), directory.path()] {
            let error = format!("{:#}", text(path, SECRET).expect_err("it is no file"));
            assert!(error.contains("no regular file"), "{error}");
        }
        std::fs::write(&file, "x".repeat(100)).expect("a file");
        assert_eq!(text(&file, 100).expect("a text").len(), 100);
        assert!(text(&file, 99).is_err());
        assert!(configuration(Path::new("/dev/zero")).is_err(), "it has no end");
        assert!(configuration(Path::new("/dev/null")).is_err(), "it says nothing");
        assert!(configuration(directory.path()).is_err(), "it is a directory");
        assert!(configuration(&directory.path().join("none")).is_err());
    }

    #[test]
    fn a_pipe_is_read_once_and_a_file_that_became_one_is_refused() {
        let directory = tempfile::tempdir().expect("a directory");
        let (fifo, file) = (directory.path().join("fifo"), directory.path().join("file"));
        pipe(&fifo);
        let writes = fifo.clone();
        let writer = std::thread::spawn(move || std::fs::write(writes, "auth = 'token'"));
        for _ in 0..2 {
            assert_eq!(configuration(&fifo).expect("a text"), "auth = 'token'");
        }
        writer.join().expect("it ends").expect("it writes");
        std::fs::write(&file, "sample = false").expect("a file");
        assert_eq!(configuration(&file).expect("a text"), "sample = false");
        std::fs::remove_file(&file).expect("removed");
        pipe(&file);
        assert!(configuration(&file).is_err_and(|error| error.to_string().contains("no regular file any more")));
    }
}
