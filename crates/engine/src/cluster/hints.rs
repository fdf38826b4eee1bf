//! What is heard of other nodes' commits: by the durable tier, a little later and nearly always, and by the hot tier, at
//! once and with what a run has said.
//!
//! Both speak of every commit. While the hot tier answers, the durable one's word of a stream is kept back for a moment,
//! since the piece itself is on its way: who read at once would find the hot tier behind, and the database would be asked
//! for what comes a millisecond later. A run that was waited for in vain is not waited for again until the hot tier
//! speaks of it, or is found to have it: over REST it never speaks, and the wait gathers what is read there at once.

use std::sync::{Arc, Weak};
use std::time::Duration;

use threadmill_proto::RunId;
use threadmill_proto::frame::Mode;
use threadmill_store::Hint;
use threadmill_store::hot;
use tokio::sync::watch;
use tokio::time::{Instant, timeout_at};

use crate::Engine;
use crate::cluster::reader::Queue;
use crate::delivery::hub::{Hub, TopicKey};

/// How long the hot tier's word is waited for after the durable one's. Between the two were less than 5 ms on an idle
/// machine; this is what a reader waits once for a run whose writer cannot reach the hot tier.
const GRACE: Duration = Duration::from_millis(50);

/// Word that is kept back.
pub(crate) struct Word {
    key: TopicKey,
    run: RunId,
    offset: u64,
    due: Instant,
}

impl Hub {
    /// The durable tier says where something stands.
    pub(crate) fn heard(&self, hint: &Hint) {
        match hint {
            Hint::Thread { tenant, thread, seq } => {
                self.with_known(&(tenant.clone(), thread.clone()), |topic| topic.heard_change(*seq));
            }
            Hint::Run { tenant, thread, run, offset } => {
                let key = (tenant.clone(), thread.clone());
                let answers = self.tier().is_some_and(|tier| tier.answers());
                let waits = self.with_known(&key, |topic| {
                    let waits = answers && topic.is_worth_waiting(run, *offset);
                    if !waits {
                        topic.heard_chunks(run, *offset);
                    }
                    waits
                });
                if waits == Some(true) {
                    self.wait_for_tier(&key, run, *offset);
                }
            }
            Hint::Summaries { scope, pos } => self.heard_list(scope, *pos),
            Hint::Recheck => {}
        }
    }

    /// The hot tier says where something stands. Which thread of the name is meant matters only for what it brings along:
    /// everything else is read where that stands.
    pub(crate) fn heard_hot(&self, hint: &hot::Hint) {
        match hint {
            hot::Hint::Thread { thread, head } => {
                let key = (thread.tenant.clone(), thread.thread.clone());
                self.with_known(&key, |topic| topic.heard_change(head.seq));
            }
            hot::Hint::Run { thread, run, end, entries } => {
                let key = (thread.tenant.clone(), thread.thread.clone());
                let taken = self.with_known(&key, |topic| topic.piece_heard(thread, run, *end, entries));
                if let (Some(true), Some(tier)) = (taken, self.tier()) {
                    tier.count_hit();
                }
            }
            hot::Hint::Summary { scope, pos } => self.heard_list(scope, *pos),
        }
    }

    /// Has everything read that the hot tier was waited for to bring.
    fn stop_waiting(&self) {
        for key in self.followed_topics() {
            self.with_known(&key, crate::delivery::topic::Topic::stop_waiting);
        }
    }

    /// Gives the hot tier a moment to bring a run's chunks up to an offset.
    pub(crate) fn wait_for_tier(&self, key: &TopicKey, run: &RunId, offset: u64) {
        self.keep_back(Word { key: key.clone(), run: run.clone(), offset, due: Instant::now() + GRACE });
    }
}

/// Has word heard when its time is over, or at once where nothing is to be waited for. All of it waits equally long, so
/// the first is always due first.
pub(crate) async fn wait_out(engine: Weak<Engine>, mut mode: watch::Receiver<Mode>, words: Arc<Queue<Word>>) {
    let mut words = words.lock().await;
    // What was taken out before a panic is waited for by nobody any more.
    if let Some(engine) = engine.upgrade() {
        engine.hub.stop_waiting();
    }
    while let Some(Word { key, run, offset, due }) = words.recv().await {
        // Either way it is read now, from where there is an answer.
        drop(timeout_at(due, mode.wait_for(|mode| *mode != Mode::Full)).await);
        let Some(engine) = engine.upgrade() else { return };
        engine.hub.with_known(&key, |topic| topic.waited_in_vain(&run, offset));
    }
}
