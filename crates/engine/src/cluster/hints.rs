//! Hints of other nodes' commits: by the durable tier, a little later and nearly always, and by the hot tier, at once and
//! with what a run has said.
//!
//! Both speak of every commit. While the hot tier answers, the durable one's hint of a stream is deferred for a moment,
//! since the chunks themselves are on their way: who read at once would find the hot tier behind, and the database would
//! be asked for what comes a millisecond later. A run that was waited for in vain is not waited for again until the hot
//! tier speaks of it, or is found to have it: over REST it never speaks, and the wait gathers what is read there at once.
//!
//! Nothing here waits for the database: who receives too slowly loses hints, and then heads are compared.

use std::sync::Arc;
use std::time::Duration;

use threadmill_proto::frame::Mode;
use threadmill_store::Hint;
use threadmill_store::hot::{self, HintEvent, HotStore as _, Partition};
use tokio::sync::{Notify, broadcast, watch};
use tokio::time::{sleep, timeout_at};

use crate::cluster::hub::{ClusterHub, DeferredHint, Queue};

/// The pause before the hot tier is listened to again, should it have ended.
const RELISTEN: Duration = Duration::from_secs(1);

/// The durable tier says where something stands.
pub(crate) fn take(hub: &ClusterHub, hint: &Hint) {
    match hint {
        Hint::Thread { tenant, thread, seq } => {
            hub.change(&(tenant.clone(), thread.clone()), |topic| topic.tail().hint_change(*seq));
        }
        Hint::Run { tenant, thread, run, offset } => {
            let key = (tenant.clone(), thread.clone());
            let answers = hub.tier().is_some_and(|tier| tier.answers());
            let defers = hub.change(&key, |topic| {
                let defers = answers && topic.tail().should_defer(run, *offset);
                if !defers {
                    topic.tail().hint_chunks(run, *offset);
                }
                defers
            });
            if defers == Some(true) {
                hub.defer(&key, run, *offset);
            }
        }
        Hint::Summaries { scope, pos } => hub.hint_list(scope, *pos),
        // Named streams have followers of their own, which nobody here knows.
        Hint::Stream { .. } | Hint::Recheck => {}
    }
}

/// The hot tier says where something stands. Which thread of the name is meant matters only for what it brings along:
/// everything else is read where that stands.
fn take_hot(hub: &ClusterHub, hint: &hot::Hint) {
    match hint {
        hot::Hint::Thread { thread, head } => {
            let key = (thread.tenant.clone(), thread.thread.clone());
            hub.change(&key, |topic| topic.tail().hint_change(head.seq));
        }
        hot::Hint::Run { thread, run, end, entries } => {
            let key = (thread.tenant.clone(), thread.thread.clone());
            let taken = hub.change(&key, |topic| topic.hot_chunks(thread, run, *end, entries));
            if let (Some(true), Some(tier)) = (taken, hub.tier()) {
                tier.count_hit();
            }
        }
        hot::Hint::Summary { scope, pos } => hub.hint_list(scope, *pos),
    }
}

/// What hints are taken into, and how a comparison of heads is asked for.
#[derive(Clone)]
pub(crate) struct Ear {
    pub(crate) hub: Arc<ClusterHub>,
    pub(crate) compare: Arc<Notify>,
}

/// Takes in what other nodes say by the durable tier. `hints` are those since the node began, the first time.
pub(crate) async fn listen(ear: Ear, hints: Option<broadcast::Receiver<Hint>>) {
    let mut hints = match hints {
        Some(hints) => hints,
        None => {
            // Begun again: what was said meanwhile was missed.
            ear.compare.notify_one();
            ear.hub.peers().hints()
        }
    };
    loop {
        match hints.recv().await {
            Ok(Hint::Recheck) | Err(broadcast::error::RecvError::Lagged(_)) => ear.compare.notify_one(),
            Ok(hint) => take(&ear.hub, &hint),
            Err(broadcast::error::RecvError::Closed) => return,
        }
    }
}

/// Takes in what the hot tier says, and has heads compared whenever it may have missed something.
pub(crate) async fn listen_hot(ear: Ear) {
    let Some(tier) = ear.hub.tier() else { return };
    loop {
        let mut hints = tier.store().subscribe(Partition::all().collect());
        while let Some(event) = hints.next().await {
            match event {
                HintEvent::Hint(hint) => take_hot(&ear.hub, &hint),
                HintEvent::Ready(_) => ear.compare.notify_one(),
                // The durable tier's hints come all the time.
                HintEvent::Lost(_) => {}
            }
        }
        // Over REST nobody speaks, and another listener that ended has panicked.
        sleep(RELISTEN).await;
        if !tier.is_pushed() {
            return;
        }
    }
}

/// Has deferred hints take effect when their time is over, or at once where nothing is to be waited for. All are deferred
/// equally long, so the first is always due first.
pub(crate) async fn expire(ear: Ear, mut mode: watch::Receiver<Mode>, hints: Arc<Queue<DeferredHint>>) {
    let mut hints = hints.lock().await;
    // What was taken out before a panic is waited for by nobody any more.
    for key in ear.hub.threads() {
        ear.hub.change(&key, |topic| topic.tail().stop_deferring());
    }
    while let Some(DeferredHint { key, run, offset, due }) = hints.recv().await {
        // Either way it is read now, from where there is an answer.
        drop(timeout_at(due, mode.wait_for(|mode| *mode != Mode::Full)).await);
        ear.hub.change(&key, |topic| topic.tail().defer_expired(&run, offset));
    }
}
