//! The model, put back to a copy: what the lost history gave is worth nothing.

use std::sync::Arc;

use threadmill_proto::Outcome;
use threadmill_store::conformance::kit::{Chat, refused, stopping_in};
use threadmill_store::{MemoryStore, StoreError};

use crate::InMemory;

#[tokio::test]
async fn a_runs_token_is_not_given_again() {
    let store = Arc::new(MemoryStore::new());
    let mut chat = Chat::begin(&InMemory(store.clone())).await;
    let begun = [chat.say("m0"), chat.start("r")];
    chat.ok(begun).await;
    let copy = store.copy();
    let believed = chat.claim("r").await;
    store.put_back(copy.clone());
    assert!(chat.claim("r").await > believed);
    store.put_back(copy);
    let stop = chat.stop("r");
    assert!(stopping_in(&chat.ok([stop]).await).fence > believed);
    let stale = chat.end("r", believed, Outcome::Complete, "what was lost");
    refused(chat.apply([stale]).await, &StoreError::Fenced);
}
