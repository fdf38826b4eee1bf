//! Which streams are followed on this node, and by how many.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use threadmill_store::streams::{StreamKey, StreamTail};
use tokio::sync::watch;

use crate::sync::lock;

/// A stream with readers.
#[derive(Debug)]
struct Topic {
    woken: watch::Sender<u64>,
    readers: usize,
    /// Its end when it was compared last, if it was.
    tail: Option<Option<StreamTail>>,
}

/// All that are followed. Nothing is kept of those that are not.
#[derive(Debug, Default)]
pub(crate) struct Followed(Mutex<HashMap<StreamKey, Topic>>);

impl Followed {
    pub(super) fn follow(self: &Arc<Self>, key: &StreamKey) -> Following {
        let mut topics = lock(&self.0);
        let fresh = || Topic { woken: watch::Sender::new(0), readers: 0, tail: None };
        let topic = topics.entry(key.clone()).or_insert_with(fresh);
        topic.readers += 1;
        Following { key: key.clone(), woken: topic.woken.subscribe(), of: Arc::clone(self) }
    }

    /// Something may have happened to a stream.
    pub(super) fn wake(&self, key: &StreamKey) {
        if let Some(topic) = lock(&self.0).get(key) {
            topic.woken.send_modify(|times| *times += 1);
        }
    }

    pub(super) fn keys(&self) -> Vec<StreamKey> {
        lock(&self.0).keys().cloned().collect()
    }

    /// The durable tier says where a stream ends. What is heard for the first time may be news, too.
    pub(super) fn compare(&self, key: &StreamKey, tail: Option<StreamTail>) {
        if let Some(topic) = lock(&self.0).get_mut(key)
            && topic.tail.replace(tail) != Some(tail)
        {
            topic.woken.send_modify(|times| *times += 1);
        }
    }
}

/// One who follows a stream. Not more of it is kept than that something happened: who reads slowly holds nothing.
#[derive(Debug)]
pub(super) struct Following {
    key: StreamKey,
    woken: watch::Receiver<u64>,
    of: Arc<Followed>,
}

impl Following {
    /// Resolves when something may have happened since it was asked last.
    pub(super) async fn changed(&mut self) {
        if self.woken.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}

impl Drop for Following {
    fn drop(&mut self) {
        let mut topics = lock(&self.of.0);
        if let Some(topic) = topics.get_mut(&self.key) {
            topic.readers -= 1;
            if topic.readers == 0 {
                topics.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use threadmill_store::conformance::named::named;

    use super::*;

    #[tokio::test]
    async fn who_follows_hears_what_happens_and_nothing_is_kept_of_who_left() {
        let followed = Arc::<Followed>::default();
        let (mut one, two) = (followed.follow(&named("a")), followed.follow(&named("a")));
        followed.wake(&named("b"));
        followed.wake(&named("a"));
        one.changed().await;
        let tail = StreamTail { num: 1, end: 5, closed: false };
        followed.compare(&named("a"), Some(tail));
        one.changed().await;
        followed.compare(&named("a"), Some(tail));
        assert!(!one.woken.has_changed().expect("it is followed"), "nothing happened");
        followed.compare(&named("a"), None);
        one.changed().await;
        drop(one);
        assert_eq!(followed.keys(), [named("a")]);
        drop(two);
        assert!(followed.keys().is_empty());
    }
}
