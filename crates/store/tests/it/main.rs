//! The models pass the suites that they are the models of.

mod hot;
mod rewound;

use std::sync::Arc;

use async_trait::async_trait;
use threadmill_store::conformance::Rig;
use threadmill_store::{DurableStore, MemoryStore};

struct InMemory(Arc<MemoryStore>);

#[async_trait]
impl Rig for InMemory {
    fn store(&self) -> Arc<dyn DurableStore> {
        self.0.clone()
    }

    async fn restart(&mut self) {}
}

fn fresh() -> InMemory {
    InMemory(Arc::new(MemoryStore::new()))
}

threadmill_store::conformance!(fresh());
