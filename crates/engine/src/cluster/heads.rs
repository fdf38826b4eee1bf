//! Comparing heads: hints may be lost, so every second or two, and whenever some may have been, the heads of all that is
//! followed are compared with what was published.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use threadmill_store::{Hint, Subject};
use tokio::sync::Notify;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout};

use crate::cluster::hints::take;
use crate::cluster::hub::ClusterHub;

/// How often heads are compared without a reason. So late comes, at most, what a node committed and was killed before it
/// could say so; a comparison costs the database a seek by key for each thread that is followed.
const COMPARE: Duration = Duration::from_millis(1500);
/// Heads that are asked for at once.
const HEADS: usize = 500;
/// How long one such question may take, and all of one comparison. What was not answered is asked first the next time.
const ANSWER: Duration = Duration::from_secs(5);
const ROUND: Duration = Duration::from_secs(15);
/// The pause after a comparison that took no time; after others it is as long as they took, so that a database under load is
/// not asked all the time.
const PAUSE: Duration = Duration::from_millis(50);

/// Compares heads every now and then and whenever hints may have been missed, one comparison at a time.
pub(crate) async fn compare_all(hub: Arc<ClusterHub>, due: Arc<Notify>) {
    let mut tick = interval(COMPARE);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut missed = HashSet::new();
    loop {
        tokio::select! {
            _ = tick.tick() => {}
            () = due.notified() => {}
        }
        let began = Instant::now();
        missed = compare(&hub, &missed).await;
        sleep(began.elapsed().max(PAUSE)).await;
    }
}

/// Compares every head that is followed with what was published, those in `missed` first. Returns those that could not
/// be asked for.
async fn compare(hub: &ClusterHub, missed: &HashSet<Subject>) -> HashSet<Subject> {
    let mut subjects = hub.subjects();
    subjects.sort_by_key(|subject| !missed.contains(subject));
    let (mut unasked, end) = (HashSet::new(), Instant::now() + ROUND);
    for some in subjects.chunks(HEADS) {
        let asked = async {
            if Instant::now() >= end {
                return Err("the comparison took too long".to_owned());
            }
            match timeout(ANSWER, hub.peers().heads(some)).await {
                Ok(heads) => heads.map_err(|error| error.to_string()),
                Err(_) => Err("there was no answer in time".to_owned()),
            }
        };
        match asked.await {
            Ok(heads) => take_heads(hub, some, &heads),
            Err(why) => {
                tracing::warn!(heads = some.len(), why, "heads could not be compared; they will be first");
                unasked.extend(some.iter().cloned());
            }
        }
    }
    unasked
}

fn take_heads(hub: &ClusterHub, asked: &[Subject], heads: &[Hint]) {
    let mut threads = HashMap::new();
    for head in heads {
        match head {
            Hint::Thread { tenant, thread, seq } => {
                threads.insert((tenant, thread), *seq);
            }
            Hint::Run { .. } | Hint::Summaries { .. } | Hint::Stream { .. } | Hint::Recheck => take(hub, head),
        }
    }
    for subject in asked {
        if let Subject::Thread(tenant, thread) = subject {
            let seq = threads.get(&(tenant, thread)).copied();
            hub.change(&(tenant.clone(), thread.clone()), |topic| topic.tail().compare(seq));
        }
    }
}
