//! The suite that every durable store passes.

use std::sync::Arc;

use async_trait::async_trait;
use threadmill_store::DurableStore;
use threadmill_store::conformance::{Rig, random};
use threadmill_store_postgres::PostgresStore;

use crate::server::Database;

/// A node on a database of its own.
struct Node {
    store: Option<Arc<PostgresStore>>,
    database: Database,
}

async fn fresh() -> Node {
    let database = Database::fresh().await;
    Node { store: Some(database.open().await), database }
}

#[async_trait]
impl Rig for Node {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.store.clone().expect("the store is open")
    }

    /// Another node takes over.
    async fn restart(&mut self) {
        self.store = Some(self.database.open().await);
    }
}

threadmill_store::conformance!(fresh().await);

#[test]
fn it_answers_as_the_model_does() {
    random::against_the_model(48, async || fresh().await);
}
