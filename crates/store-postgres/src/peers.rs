//! The other nodes on the database: [`Peers`], answered by the hints and by reads.

use async_trait::async_trait;
use threadmill_proto::{Scope, TenantId, ThreadId};
use threadmill_store::{Hint, NodesSeen, Peers, Standing, StoreResult, Subject, ThreadHead, Watching};
use tokio::sync::broadcast;

use crate::hints;
use crate::read;
use crate::session::reading;
use crate::store::PostgresStore;

#[async_trait]
impl Peers for PostgresStore {
    fn hints(&self) -> broadcast::Receiver<Hint> {
        Self::hints(self)
    }

    fn name(&self) -> Option<String> {
        Some(self.node.replace('-', ""))
    }

    async fn nodes(&self) -> StoreResult<Option<NodesSeen>> {
        reading!(self.connections, plain, db => read::nodes::nodes(db)).map(Some)
    }

    fn watch(&self, subject: Subject) -> Watching {
        Box::new(Self::watch(self, subject))
    }

    async fn heads(&self, subjects: &[Subject]) -> StoreResult<Vec<Hint>> {
        hints::heads(subjects, &self.connections).await
    }

    async fn head(&self, tenant: &TenantId, thread: &ThreadId) -> StoreResult<ThreadHead> {
        reading!(self.connections, snapshot, db => read::head::head(db, tenant, thread))
    }

    async fn standing(&self, scope: &Scope, thread: &ThreadId) -> StoreResult<Standing> {
        reading!(self.connections, plain, db => read::head::standing(db, scope, thread))
    }
}
