//! The store's files by identity, and the database by length: whether what is written still lies where it is looked for.
//!
//! A file that was unlinked goes on taking writes, and loses them all when the process ends; a database that was cut has
//! lost some already, and nobody vacuums it here. So the names are looked up again after each commit and before it is
//! acknowledged: three calls of a microsecond beside a sync. The log is shortened by whoever moves it into the database.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// What tells one file from another that has its name.
type Identity = (u64, u64);

/// Files that must stay where they are. One of them must get no shorter, too.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<Watched>);

#[derive(Debug)]
struct Watched {
    path: PathBuf,
    identity: Identity,
    /// The longest that it was seen, if it must not get shorter.
    length: Option<AtomicU64>,
}

/// What became of a file.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lost<'f> {
    /// It is not there any more, or is another one.
    Gone(&'f Path),
    /// It was longer.
    Cut(&'f Path),
}

impl std::fmt::Display for Lost<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Gone(path) => write!(f, "{} is gone or was replaced while it was in use", path.display()),
            Self::Cut(path) => write!(f, "{} was cut while it was in use", path.display()),
        }
    }
}

impl Files {
    /// Notes which files these are now, and how long `growing` is.
    pub(crate) fn watch(growing: PathBuf, others: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let all = [(growing, true)].into_iter().chain(others.into_iter().map(|path| (path, false)));
        let noted = all.map(|(path, grows)| {
            let found = std::fs::metadata(&path)?;
            let length = grows.then(|| AtomicU64::new(found.len()));
            Ok(Watched { path, identity: identity(&found), length })
        });
        noted.collect::<io::Result<_>>().map(Self)
    }

    /// The first that is not as it was left.
    pub(crate) fn lost(&self) -> Option<Lost<'_>> {
        self.0.iter().find_map(|file| match std::fs::metadata(&file.path) {
            Ok(found) if identity(&found) != file.identity => Some(Lost::Gone(&file.path)),
            Ok(found) => {
                let longest = file.length.as_ref()?.fetch_max(found.len(), Ordering::Relaxed);
                (found.len() < longest).then_some(Lost::Cut(&file.path))
            }
            // Only what is certain counts: a call that failed otherwise says nothing about the file.
            Err(error) => (error.kind() == io::ErrorKind::NotFound).then_some(Lost::Gone(&file.path)),
        })
    }
}

#[cfg(unix)]
fn identity(found: &Metadata) -> Identity {
    use std::os::unix::fs::MetadataExt;
    (found.dev(), found.ino())
}

/// Where files have no identity, it counts that there is one of the name.
#[cfg(not(unix))]
fn identity(_: &Metadata) -> Identity {
    (0, 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_goes_or_is_replaced_is_lost() {
        let directory = tempfile::TempDir::new().expect("a directory");
        let path = directory.path().join("a");
        std::fs::write(&path, "1").expect("writes");
        let files = Files::watch(path.clone(), []).expect("watches");
        assert_eq!(files.lost(), None);
        let (kept, moved) = (directory.path().join("kept"), directory.path().join("moved"));
        std::fs::hard_link(&path, &kept).expect("links");
        std::fs::rename(&path, &moved).expect("moves");
        assert_eq!(files.lost(), Some(Lost::Gone(&path)));
        std::fs::write(&path, "1").expect("writes");
        assert_eq!(files.lost(), Some(Lost::Gone(&path)), "another file");
        std::fs::rename(&kept, &path).expect("moves");
        assert_eq!(files.lost(), None, "the same file is back");
        std::fs::write(&path, "123").expect("writes");
        assert_eq!(files.lost(), None, "it grows");
        std::fs::write(&path, "12").expect("writes");
        assert_eq!(files.lost(), Some(Lost::Cut(&path)));
    }
}
