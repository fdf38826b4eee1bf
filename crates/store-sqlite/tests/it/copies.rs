//! A copy that is put back, in every way one can be made and put back: positions and tokens of the history that is lost
//! are worth nothing, and readers of the history that is kept go on.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use rusqlite::Connection;
use tempfile::TempDir;
use threadmill_proto::frame::ResetReason;
use threadmill_proto::{LockName, Millis, Outcome};
use threadmill_store::conformance::kit::{Chat, refused, scope, started_in, thread_id};
use threadmill_store::{Changes, DurableStore, LockAnswer, LockRequest, LockToken, StoreError};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

const DATABASE: &str = "threadmill.db";

/// What is copied, while the store runs or after it was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Copied {
    /// Every file, as `cp -r` does.
    DirectoryWhileOpen,
    /// The database by `VACUUM INTO`.
    DatabaseWhileOpen,
    /// The database's file and its log.
    FilesWhileOpen,
    /// Every file.
    DirectoryClosed,
    /// The database's file.
    DatabaseClosed,
}

/// How the store ends before the copy is put back.
#[derive(Debug, Clone, Copy)]
enum Ended {
    Closed,
    Dropped,
}

/// What a copy takes the place of.
#[derive(Debug, Clone, Copy)]
enum Place {
    /// Everything that was there.
    Whole,
    /// The database: the other files stay.
    Beside,
}

fn open(path: &Path) -> Arc<SqliteStore> {
    SqliteStore::open(path, SqliteOptions::default()).expect("the store opens")
}

async fn end(store: Arc<SqliteStore>, how: Ended) {
    if let Ended::Closed = how {
        store.close().await.expect("closes");
    }
    drop(store);
}

fn chat(store: &Arc<SqliteStore>, at: Millis) -> Chat {
    Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at }
}

async fn take(store: &Arc<SqliteStore>, now: Millis) -> LockToken {
    let name = LockName::parse("door").expect("a name");
    let request = LockRequest { name: name.clone(), holder: now.to_string(), until: now + 1, now };
    match store.acquire_lock(&scope("acme", "ann"), request).await.expect("it is decided") {
        LockAnswer::Granted(grant) => LockToken { name, token: grant.token },
        held @ LockAnswer::Held { .. } => panic!("{held:?}"),
    }
}

fn files(path: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(path).expect("a directory");
    entries.map(|entry| entry.expect("an entry").path()).filter(|path| path.is_file()).collect()
}

fn copy(from: &Path, to: &Path, copied: Copied) {
    for file in files(from) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        let taken = match copied {
            Copied::DirectoryWhileOpen | Copied::DirectoryClosed => true,
            Copied::FilesWhileOpen => name == DATABASE || name == "threadmill.db-wal",
            Copied::DatabaseClosed => name == DATABASE,
            Copied::DatabaseWhileOpen => false,
        };
        if taken {
            std::fs::copy(&file, to.join(name)).expect("copies");
        }
    }
    if copied == Copied::DatabaseWhileOpen {
        let target = to.join(DATABASE);
        let own = Connection::open(from.join(DATABASE)).expect("opens");
        own.execute("VACUUM INTO ?1", [target.to_str().expect("a path")]).expect("copies");
    }
}

fn put_back(copy: &Path, at: &Path, place: Place) {
    for file in files(at) {
        let name = file.file_name().and_then(|name| name.to_str()).expect("a name");
        if matches!(place, Place::Whole) || name.starts_with(DATABASE) {
            std::fs::remove_file(&file).expect("removes");
        }
    }
    for file in files(copy) {
        std::fs::copy(&file, at.join(file.file_name().expect("a name"))).expect("copies");
    }
}

async fn is_noticed(copied: Copied, ended: Ended, place: Place) {
    let case = format!("{copied:?} {ended:?} {place:?}");
    let (directory, kept) = (TempDir::new().expect("a directory"), TempDir::new().expect("a directory"));
    let mut store = open(directory.path());
    let create = chat(&store, 1).create("t");
    let before = chat(&store, 1).ok([create]).await.position;
    let answered = |store: &Arc<SqliteStore>| Chat { thread: thread_id("answered"), ..chat(store, 1) };
    let begun = [answered(&store).create("t"), answered(&store).start("r")];
    answered(&store).ok(begun).await;
    let old = take(&store, 1).await;
    match copied {
        Copied::DirectoryClosed | Copied::DatabaseClosed => {
            end(store, Ended::Closed).await;
            copy(directory.path(), kept.path(), copied);
            store = open(directory.path());
        }
        Copied::DirectoryWhileOpen | Copied::DatabaseWhileOpen | Copied::FilesWhileOpen => {
            copy(directory.path(), kept.path(), copied);
        }
    }
    // What is lost: a message, a grant and a run's lease that somebody still believes in.
    let believed = answered(&store).claim("r").await;
    let rewound = |store: &Arc<SqliteStore>| Chat { thread: thread_id("rewound"), ..chat(store, 2) };
    let begun = [rewound(&store).create("t"), rewound(&store).start("again")];
    let begun = started_in(&rewound(&store).ok(begun).await).1;
    let say = chat(&store, 2).say("lost");
    let seen = chat(&store, 2).ok([say]).await.position;
    let forgotten = take(&store, 3).await;
    end(store, ended).await;
    put_back(kept.path(), directory.path(), place);

    let store = open(directory.path());
    let mut after = chat(&store, 9);
    for stale in [&old, &forgotten] {
        let mut write = after.transaction([after.clone().say("stale")]);
        write.under = Some(stale.clone());
        refused(store.apply(write).await, &StoreError::Superseded);
    }
    let fence = answered(&store).claim("r").await;
    assert!(fence > believed && fence < 1 << 53, "{case}: {fence} after {believed}");
    let stale = answered(&store).end("r", believed, Outcome::Complete, "what was lost");
    refused(answered(&store).apply([stale]).await, &StoreError::Fenced);
    // Nor does who wrote a run that is lost write one of its name.
    let again = [rewound(&store).create("t"), rewound(&store).start("again")];
    let fence = started_in(&rewound(&store).ok(again).await).1;
    assert!(fence > begun && fence < 1 << 53, "{case}: {fence} after {begun}");
    refused(rewound(&store).stream("again", begun, 0, &["lost"]).await, &StoreError::Fenced);
    let new = take(&store, 9).await;
    assert!(new.token > forgotten.token, "{case}: {new:?} after {forgotten:?}");
    assert!(new.token < 1 << 53, "{case}: {new:?} is no number of JSON");
    for stale in [&old, &forgotten] {
        let mut write = after.transaction([after.clone().say("stale")]);
        write.under = Some(stale.clone());
        refused(store.apply(write).await, &StoreError::Superseded);
    }
    // Nobody goes on from what is lost, whether the log is shorter, as long or longer; everybody from what is kept.
    for n in 0..3 {
        assert_eq!(after.since(seen).await, Changes::Reset(ResetReason::Epoch), "{case}");
        let Changes::Since { events, .. } = after.since(before).await else { panic!("{case}: it is reset") };
        assert_eq!(events.len(), n, "{case}");
        let say = after.say(&format!("m{n}"));
        let position = after.ok([say]).await.position;
        assert!(position.epoch > seen.epoch, "{case}: {position:?} after {seen:?}");
    }
}

#[tokio::test]
async fn a_copy_of_the_directory_made_while_it_is_open_is_noticed() {
    for ended in [Ended::Closed, Ended::Dropped] {
        is_noticed(Copied::DirectoryWhileOpen, ended, Place::Whole).await;
    }
}

#[tokio::test]
async fn a_copy_of_the_database_made_while_it_is_open_is_noticed() {
    for copied in [Copied::DatabaseWhileOpen, Copied::FilesWhileOpen] {
        for ended in [Ended::Closed, Ended::Dropped] {
            for place in [Place::Whole, Place::Beside] {
                is_noticed(copied, ended, place).await;
            }
        }
    }
}

#[tokio::test]
async fn a_copy_made_when_it_was_closed_is_noticed() {
    for copied in [Copied::DirectoryClosed, Copied::DatabaseClosed] {
        for ended in [Ended::Closed, Ended::Dropped] {
            for place in [Place::Whole, Place::Beside] {
                is_noticed(copied, ended, place).await;
            }
        }
    }
}
