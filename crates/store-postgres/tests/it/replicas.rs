//! A standby that follows, stands still and dies: windows come from it only while it is where the primary is.

use std::sync::Arc;
use std::time::{Duration, Instant};

use threadmill_proto::{Anchor, Window};
use threadmill_store::conformance::kit::{Chat, ids_of, missing, scope, thread_id};
use threadmill_store::{DurableStore as _, Missing};
use threadmill_store_postgres::{PostgresOptions, PostgresStore};

use crate::server::{Database, Server};

struct Pair {
    primary: Database,
    standby: Arc<Server>,
    store: Arc<PostgresStore>,
    chat: Chat,
}

impl Pair {
    /// A thread of three messages at a primary that has a standby.
    async fn new() -> Self {
        let server = Server::start().await;
        let primary = server.database().await;
        // The schema is there before the standby is.
        primary.open().await.close().await;
        let standby = server.standby().await;
        let replicas = vec![standby.url("app", &primary.name)];
        let store = primary.open_with(PostgresOptions { replicas, ..PostgresOptions::default() }).await;
        let mut chat = Chat { store: store.clone(), scope: scope("acme", "ann"), thread: thread_id("t"), at: 1_000 };
        let create = chat.create("a title");
        chat.ok([create]).await;
        chat.say_many(3).await;
        Self { primary, standby, store, chat }
    }

    async fn window(&self) -> Window {
        self.chat.window(Anchor::Tip, 50, 0).await
    }

    /// Reads until the standby has answered.
    async fn caught_up(&self) {
        let (served, deadline) = (self.store.replicas().served, Instant::now() + Duration::from_secs(30));
        while self.store.replicas().served == served {
            self.window().await;
            assert!(Instant::now() < deadline, "the standby serves nothing: {:?}", self.store.replicas());
        }
    }

    /// What a store without replicas reads.
    async fn at_primary(&self) -> Window {
        let store = self.primary.open().await;
        let chat = Chat { store: store.clone(), ..self.chat.clone() };
        let window = chat.window(Anchor::Tip, 50, 0).await;
        assert_eq!(store.replicas().served, 0);
        window
    }
}

#[tokio::test]
async fn a_standby_serves_what_the_primary_would_and_nothing_older() {
    let mut pair = Pair::new().await;
    pair.caught_up().await;
    assert_eq!(pair.window().await, pair.at_primary().await);
    // From here on the standby shows nothing new.
    pair.standby.sql("postgres", "SELECT pg_wal_replay_pause()").await;
    let ids = ids_of(&pair.window().await.messages);
    let commands = [pair.chat.say("later"), pair.chat.remove(&ids[1])];
    for command in commands {
        pair.chat.ok([command]).await;
    }
    let behind = pair.store.replicas().behind;
    let window = pair.window().await;
    assert_eq!(ids_of(&window.messages), [ids[0].as_str(), ids[2].as_str(), "later"]);
    assert_eq!(pair.store.replicas().behind, behind + 1);
    // What is gone is gone at once, though the standby still has it.
    let delete = pair.chat.delete();
    pair.chat.ok([delete]).await;
    let query = pair.chat.query(Anchor::Tip, 50, 0);
    missing(pair.store.window(&pair.chat.scope, query).await, Missing::Thread);
    pair.standby.sql("postgres", "SELECT pg_wal_replay_resume()").await;
}

#[tokio::test]
async fn a_standby_that_does_not_answer_is_left_alone() {
    let pair = Pair::new().await;
    pair.caught_up().await;
    pair.standby.kill("-INT");
    pair.standby.stopped().await;
    let (failed, window) = (pair.store.replicas().failed, pair.at_primary().await);
    for _ in 0..20 {
        assert_eq!(pair.window().await, window);
    }
    let now = pair.store.replicas().failed;
    assert!(now > failed && now < failed + 4, "{failed} readings failed before, {now} after");
}
