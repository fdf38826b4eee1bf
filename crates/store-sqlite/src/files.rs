//! The store's files by identity: whether what is written still lies under the names it is looked for.
//!
//! A file that was unlinked goes on taking writes, and loses them all when the process ends. So the names are looked
//! up again after each commit and before it is acknowledged: three calls of a microsecond beside a sync.

use std::fs::Metadata;
use std::io;
use std::path::{Path, PathBuf};

/// What tells one file from another that has its name.
type Identity = (u64, u64);

/// Files that must stay where they are.
#[derive(Debug, Default)]
pub(crate) struct Files(Vec<(PathBuf, Identity)>);

impl Files {
    /// Notes which files these are now.
    pub(crate) fn watch(paths: impl IntoIterator<Item = PathBuf>) -> io::Result<Self> {
        let noted = paths.into_iter().map(|path| {
            let identity = identity(&std::fs::metadata(&path)?);
            Ok((path, identity))
        });
        noted.collect::<io::Result<_>>().map(Self)
    }

    /// The first that is not there any more, or is another one.
    pub(crate) fn lost(&self) -> Option<&Path> {
        let same = |(path, noted): &&(PathBuf, Identity)| match std::fs::metadata(path) {
            Ok(found) => identity(&found) == *noted,
            // Only what is certain counts: a call that failed otherwise says nothing about the file.
            Err(error) => error.kind() != io::ErrorKind::NotFound,
        };
        self.0.iter().find(|file| !same(file)).map(|(path, _)| path.as_path())
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
        let files = Files::watch([path.clone()]).expect("watches");
        assert_eq!(files.lost(), None);
        let (kept, moved) = (directory.path().join("kept"), directory.path().join("moved"));
        std::fs::hard_link(&path, &kept).expect("links");
        std::fs::rename(&path, &moved).expect("moves");
        assert_eq!(files.lost(), Some(path.as_path()));
        std::fs::write(&path, "1").expect("writes");
        assert_eq!(files.lost(), Some(path.as_path()), "another file");
        std::fs::rename(&kept, &path).expect("moves");
        assert_eq!(files.lost(), None, "the same file is back");
    }
}
