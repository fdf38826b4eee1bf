//! How a node leaves: it says so, finishes what it began, and ends the rest.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::node::{Leaving, Node, RECONNECT_WITHIN};

/// Between two looks at what is still there.
const LOOK: Duration = Duration::from_millis(20);
/// How long runs may take to be ended once they are let go.
const LET_GO: Duration = Duration::from_secs(5);
/// How long a connection may take beyond its moment.
const SLACK: Duration = Duration::from_secs(2);
/// What a node has begun.
pub(crate) trait Work: Sync {
    /// Runs that it writes.
    fn runs(&self) -> usize;

    /// Has every run ended as interrupted, with its text kept.
    fn let_go(&self);

    /// Connections that are open.
    fn connections(&self) -> usize;
}

/// Whether connections can go anywhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Elsewhere {
    Nowhere,
    OtherNodes,
}

impl Node {
    /// Leaves: no run begins any more, those under way are waited for up to `patience` and then ended as interrupted
    /// with their text kept, and connections are asked to move. Where there are other nodes that is at once, and they
    /// have [`RECONNECT_WITHIN`] for it; where there are none, they see the runs to their end first.
    pub(crate) async fn leave(&self, work: &dyn Work, elsewhere: Elsewhere, patience: Duration) {
        let alone = elsewhere == Elsewhere::Nowhere;
        self.leaving.send_replace(if alone { Leaving::Finishing } else { Leaving::Moving });
        let moved = Instant::now() + RECONNECT_WITHIN + SLACK;
        let finished = Instant::now() + patience;
        while work.runs() > 0 && Instant::now() < finished {
            sleep(LOOK).await;
        }
        self.shut_down(work, LET_GO).await;
        self.leaving.send_replace(Leaving::Moving);
        while !alone && work.connections() > 0 && Instant::now() < moved {
            sleep(LOOK).await;
        }
    }

    /// Lets go of every run, and waits for that up to `patience`.
    pub(crate) async fn shut_down(&self, work: &dyn Work, patience: Duration) {
        work.let_go();
        let deadline = Instant::now() + patience;
        while work.runs() > 0 && Instant::now() < deadline {
            sleep(LOOK / 2).await;
        }
    }
}
