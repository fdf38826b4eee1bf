//! One connection's subscriptions of one thread: each live frame is sent once, as the union of what they show.
//!
//! Events, advances and chunks name the thread alone, so every view behind the connection sees each of them and
//! leaves out what it has. That works if, for every live subscription, nothing comes out of turn: live frames go
//! in the order they were published, and what is repeated for a subscription that came later ends where the others
//! are (`ceiling`, and the live folds' offsets for chunks).

use std::sync::Arc;

use threadmill_proto::frame::ResetReason;
use threadmill_proto::{ErrorCode, Event, Problem, ThreadId};

use crate::delivery::event::{Delivered, Shared};
use crate::delivery::queue::SendQueue;
use crate::delivery::subscription::{Piece, Subscription};

/// A connection, with all its subscriptions of one thread.
#[derive(Debug)]
pub(crate) struct Follower {
    queue: Arc<SendQueue>,
    subscriptions: Vec<Subscription>,
}

impl Follower {
    /// A connection without subscriptions of the thread.
    pub(crate) fn new(queue: Arc<SendQueue>) -> Self {
        Self { queue, subscriptions: Vec::new() }
    }

    pub(crate) fn belongs_to(&self, queue: &Arc<SendQueue>) -> bool {
        Arc::ptr_eq(&self.queue, queue)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.subscriptions.is_empty()
    }

    /// Enters a subscription whose snapshot is about to be read.
    pub(crate) fn enter(&mut self, sub: u32, number: u64) {
        self.subscriptions.push(Subscription::opening(sub, number));
    }

    pub(crate) fn leave(&mut self, sub: u32) {
        self.subscriptions.retain(|known| known.id != sub);
    }

    pub(crate) fn of(&mut self, sub: u32) -> Option<&mut Subscription> {
        self.subscriptions.iter_mut().find(|known| known.id == sub)
    }

    /// The last change that every other live subscription has, if there are any. What comes after it must come to
    /// all of them at once, so a repetition for `sub` ends there; all that was published is at or before it, and the
    /// rest is on its way to everybody.
    pub(crate) fn ceiling(&self, sub: u32) -> Option<u64> {
        self.subscriptions.iter().filter(|known| known.id != sub).filter_map(Subscription::reached).min()
    }

    /// A change is durable.
    pub(crate) fn event(&mut self, thread: &ThreadId, event: &Event, full: &Arc<Shared>) {
        self.check_pace(thread);
        let views = self.subscriptions.iter_mut().filter_map(|subscription| subscription.event(event, full));
        if let Some(view) = views.max() {
            self.queue.push(view.frame(thread, event, full));
        }
    }

    /// Chunks are durable.
    pub(crate) fn chunks(&mut self, thread: &ThreadId, piece: &Piece<'_>, frame: &Arc<Shared>) {
        self.check_pace(thread);
        let mut shown = false;
        for subscription in &mut self.subscriptions {
            shown |= subscription.chunks(piece, frame);
        }
        if shown {
            self.queue.push(Arc::clone(frame));
        }
    }

    /// What was published does not go on: those that are live start over from a window, the others wait for nothing
    /// that was before.
    pub(crate) fn start_over(&mut self, thread: &ThreadId, reason: ResetReason) {
        self.drop_live(thread, reason);
        self.subscriptions.iter_mut().filter(|known| known.is_opening()).for_each(Subscription::reopen);
    }

    /// There is no such thread any more. Those that are just opening find out by themselves.
    pub(crate) fn vanish(&mut self, thread: &ThreadId) {
        self.queue.forget(thread);
        for subscription in self.subscriptions.iter().filter(|known| !known.is_opening()) {
            let problem = Problem::new(ErrorCode::ThreadNotFound, "The thread was deleted.");
            self.queue.push(Shared::new(Delivered::Failed { sub: subscription.id, problem }));
        }
    }

    /// Drops every live subscription of a connection that is behind: its frames are theirs together.
    fn check_pace(&mut self, thread: &ThreadId) {
        if self.subscriptions.iter().any(Subscription::is_live) && self.queue.is_behind() {
            self.drop_live(thread, ResetReason::Slow);
        }
    }

    fn drop_live(&mut self, thread: &ThreadId, reason: ResetReason) {
        let mut dropped = Vec::new();
        for subscription in self.subscriptions.iter_mut().filter(|subscription| subscription.is_live()) {
            subscription.drop_out();
            dropped.push(subscription.id);
        }
        if !dropped.is_empty() {
            self.queue.resync(&dropped, thread, reason);
        }
    }
}
