//! The outbox's directory: a file for each write, and a lock.
//!
//! A file is written to another name, synced and renamed, so that what is there is whole; a write that is
//! acknowledged has none.

use std::fs::{self, File, TryLockError};
use std::io::{self, ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::Value;
use threadmill_proto::json::value_from_slice;

const LOCK: &str = "lock";
const WHOLE: &str = "json";
const PARTIAL: &str = "partial";

/// A directory that is held as long as the client is there.
#[derive(Debug)]
pub(super) struct Directory {
    path: PathBuf,
    /// None once the client is closed: another one may hold the directory then.
    lock: Mutex<Option<File>>,
}

impl Directory {
    /// Takes a directory, making it if need be.
    pub(super) fn open(path: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&path)?;
        let lock = File::options().create(true).write(true).truncate(false).open(path.join(LOCK))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { path, lock: Mutex::new(Some(lock)) }),
            Err(TryLockError::WouldBlock) => {
                let busy = format!("{} is in use by another client", path.display());
                Err(io::Error::new(ErrorKind::ResourceBusy, busy))
            }
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    /// What is kept, each under its key. Leftovers of a crash in the middle of writing are removed.
    pub(super) fn read(&self) -> io::Result<Vec<(String, Value)>> {
        let mut kept = Vec::new();
        for entry in fs::read_dir(&self.path)? {
            let path = entry?.path();
            match path.extension().and_then(|extension| extension.to_str()) {
                Some(WHOLE) => kept.push(read(&path)?),
                Some(PARTIAL) => fs::remove_file(path)?,
                Some(_) | None => {}
            }
        }
        Ok(kept)
    }

    /// Makes the file of a key what `now` says at this moment: nothing stands for no file. Whoever writes last has seen
    /// the latest. After `close` nothing happens.
    pub(super) fn store(&self, key: &str, now: impl FnOnce() -> Option<Value>) -> io::Result<()> {
        let held = self.lock();
        if held.is_none() {
            return Ok(());
        }
        match now() {
            Some(value) => self.write(key, &value),
            // Not synced: one that comes back is sent again and has no second effect.
            None => match fs::remove_file(self.path.join(key).with_extension(WHOLE)) {
                Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
                done => done,
            },
        }
    }

    /// Lets go of the directory.
    pub(super) fn close(&self) {
        self.lock().take();
    }

    fn write(&self, key: &str, value: &Value) -> io::Result<()> {
        let whole = self.path.join(key).with_extension(WHOLE);
        let partial = whole.with_extension(PARTIAL);
        let mut file = File::create(&partial)?;
        file.write_all(value.to_string().as_bytes())?;
        file.sync_all()?;
        fs::rename(partial, whole)?;
        File::open(&self.path)?.sync_all()
    }

    fn lock(&self) -> MutexGuard<'_, Option<File>> {
        self.lock.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(path: &Path) -> io::Result<(String, Value)> {
    let unreadable = || io::Error::new(ErrorKind::InvalidData, format!("{} is no write", path.display()));
    let key = path.file_stem().and_then(|key| key.to_str()).ok_or_else(unreadable)?;
    let value = value_from_slice(&fs::read(path)?).map_err(|_| unreadable())?;
    Ok((key.into(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_directory_has_one_holder_and_keeps_whole_files() {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("box");
        let first = Directory::open(path.clone()).expect("it is free");
        first.store("a", || Some(json!(1))).expect("it is kept");
        first.store("b", || Some(json!(2))).expect("it is kept");
        first.store("b", || None).expect("it is removed");
        first.store("b", || None).expect("once is enough");
        let busy = Directory::open(path.clone()).expect_err("it is held");
        assert_eq!(busy.kind(), ErrorKind::ResourceBusy);
        first.close();
        let second = Directory::open(path.clone()).expect("it is free again");
        first.store("a", || None).expect("nothing happens");
        fs::write(path.join("c.partial"), "{").expect("a leftover");
        assert_eq!(second.read().expect("readable"), [("a".to_owned(), json!(1))]);
        assert!(!path.join("c.partial").exists());
        fs::write(path.join("d.json"), "{").expect("a file");
        assert_eq!(second.read().expect_err("not JSON").kind(), ErrorKind::InvalidData);
    }
}
