//! The shortest way through the store: say something, answer it, read it.

use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{
    Anchor, BranchId, Chunk, JsonText, MessageId, Outcome, Part, Role, RunId, Scope, TenantId, ThreadId, UserId,
};
use threadmill_store::{
    ChunkAppend, Command, DurableStore, IfMoved, Lease, NewMessage, PageLimits, Transaction, WindowQuery,
};
use threadmill_store_sqlite::{SqliteOptions, SqliteStore};

#[tokio::test]
async fn a_chat_goes_through() {
    let dir = tempfile::tempdir().expect("a directory");
    let store = SqliteStore::open(dir.path(), SqliteOptions::default()).expect("opens");
    let scope = Scope { tenant: TenantId::parse("default").unwrap(), user: UserId::parse("local").unwrap() };
    let t = ThreadId::parse("t").unwrap();
    let body = |s: &str| Body { parts: vec![Part::text(s)], metadata: None };
    let committed = store
        .apply(Transaction {
            scope: scope.clone(),
            at: 1,
            key: None,
            commands: vec![
                Command::CreateThread {
                    id: t.clone(),
                    branch: BranchId::parse("b").unwrap(),
                    title: String::new(),
                    metadata: None,
                },
                Command::Append {
                    thread: t.clone(),
                    branch: None,
                    after: None,
                    if_moved: IfMoved::Append,
                    message: NewMessage { id: MessageId::parse("m1").unwrap(), role: Role::User, body: body("hello") },
                    fork: BranchId::parse("f").unwrap(),
                },
                Command::StartRun {
                    thread: t.clone(),
                    branch: None,
                    regenerate: None,
                    fork: BranchId::parse("g").unwrap(),
                    run: RunId::parse("r").unwrap(),
                    message: MessageId::parse("m2").unwrap(),
                    provider: "p".into(),
                    request: JsonText("{}".into()),
                    lease: Lease { owner: "n".into(), until: 10 },
                },
            ],
        })
        .await
        .expect("applies");
    assert_eq!(committed.position.seq, 4);
    store
        .append_chunks(ChunkAppend {
            scope: scope.clone(),
            run: RunId::parse("r").unwrap(),
            fence: 1,
            from: 0,
            chunks: Arc::new([
                Chunk::TextStart { id: "0".into() },
                Chunk::TextDelta { id: "0".into(), delta: "hi".into() },
            ]),
            checkpoint: None,
        })
        .await
        .expect("appends");
    let page = store.stream(&scope, &RunId::parse("r").unwrap(), 0, 1000).await.expect("streams");
    assert_eq!(page.chunks.len(), 2);
    store
        .apply(Transaction {
            scope: scope.clone(),
            at: 1,
            key: None,
            commands: vec![Command::EndRun {
                run: RunId::parse("r").unwrap(),
                fence: 1,
                outcome: Outcome::Complete,
                body: body("hi"),
                error: None,
            }],
        })
        .await
        .expect("ends");
    let w = store
        .window(
            &scope,
            WindowQuery {
                thread: t.clone(),
                branch: None,
                anchor: Anchor::Tip,
                before: 50,
                after: 0,
                limits: PageLimits::DEFAULT,
            },
        )
        .await
        .expect("window");
    assert_eq!(w.messages.len(), 2);
    println!("{w:#?}");
    store.close().await.expect("closes");
}
