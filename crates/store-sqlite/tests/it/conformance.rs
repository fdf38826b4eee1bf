//! The suite that every durable store passes.

use std::sync::Arc;

use async_trait::async_trait;
use tempfile::TempDir;
use threadmill_store::DurableStore;
use threadmill_store::conformance::{Rig, random};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

/// A store in a directory of its own.
struct OnDisk {
    directory: TempDir,
    store: Option<Arc<SqliteStore>>,
}

fn open(directory: &TempDir) -> Arc<SqliteStore> {
    SqliteStore::open(directory.path(), SqliteOptions::default()).expect("the store opens")
}

fn fresh() -> OnDisk {
    let directory = TempDir::new().expect("a directory");
    OnDisk { store: Some(open(&directory)), directory }
}

#[async_trait]
impl Rig for OnDisk {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.store.clone().expect("the store is open")
    }

    /// Copies the files as they are at this moment, as a crash would leave them, and opens the copy.
    async fn restart(&mut self) {
        let copy = TempDir::new().expect("a directory");
        for entry in std::fs::read_dir(self.directory.path()).expect("lists") {
            let path = entry.expect("lists").path();
            let name = path.file_name().expect("a name");
            // The index beside the log is rebuilt from it, as after a power cut.
            if !name.to_string_lossy().ends_with("-shm") {
                std::fs::copy(&path, copy.path().join(name)).expect("copies");
            }
        }
        self.store = Some(open(&copy));
        self.directory = copy;
    }
}

threadmill_store::conformance!(fresh());

#[test]
fn it_answers_as_the_model_does() {
    random::against_the_model(64, async || fresh());
}
