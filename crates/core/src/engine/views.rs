//! The engine's views: opening, subscribing, resting and giving up.

use alloc::vec::Vec;

use super::{Asked, Engine, Fetch, Output};
use crate::Now;
use crate::session::passes;
use crate::window::{Need, View};
use threadmill_proto::{Anchor, BranchId, ClientFrame, Problem, ThreadId, Window};

/// Milliseconds, and as many again by chance, before a passing failure is tried again.
pub(super) const AGAIN: u64 = 500;

#[derive(Debug)]
pub(super) struct Slot {
    pub(super) view: View,
    /// Its subscription on this connection.
    sub: Option<u32>,
    /// When to ask again after a failure that passes.
    pub(super) retry: Option<Now>,
    /// Nobody looks; higher rests longer in the order of giving up: none while somebody does.
    rests: Option<u32>,
}

impl Engine {
    pub(super) fn open(&mut self, view: u32, thread: ThreadId, branch: Option<BranchId>, anchor: Anchor) {
        self.release(view);
        self.slots.insert(view, Slot { view: View::new(thread, branch, anchor), sub: None, retry: None, rests: None });
    }

    pub(super) fn release(&mut self, view: u32) {
        self.unsubscribe(view);
        self.slots.remove(view);
        self.asked.retain(|asked| !matches!(asked, Asked::Page(of, _) | Asked::Open(of, _) if *of == view));
    }

    /// Keeps a view that nobody looks at, and gives up those that rest longest if there is no room for all.
    pub(super) fn rest(&mut self, view: u32) {
        self.unsubscribe(view);
        let order = self.number();
        if let Some(slot) = self.slots.get_mut(view) {
            slot.rests = Some(order);
        }
        self.make_room();
    }

    pub(super) fn resume(&mut self, view: u32) {
        if let Some(slot) = self.slots.get_mut(view) {
            slot.rests = None;
            slot.view.reopen();
            self.subscribe(view);
        }
    }

    fn make_room(&mut self) {
        let mut held = self.held().1;
        while held > self.room {
            let resting = self.slots.iter().filter_map(|(view, slot)| Some((slot.rests?, view)));
            let Some((_, longest)) = resting.min() else { return };
            held -= self.view(longest).map_or(0, View::bytes);
            self.release(longest);
            self.outputs.push(Output::Dropped(longest));
        }
    }

    pub(super) fn with(&mut self, view: u32, act: impl FnOnce(&mut View)) {
        if let Some(slot) = self.slots.get_mut(view) {
            act(&mut slot.view);
        }
    }

    fn unsubscribe(&mut self, view: u32) {
        let Some(slot) = self.slots.get_mut(view) else { return };
        slot.view.disconnect();
        slot.retry = None;
        if let Some(sub) = slot.sub.take() {
            self.send(&ClientFrame::Unsubscribe { sub });
        }
    }

    /// Subscribes a view from where it is, if somebody looks and the connection stands.
    fn subscribe(&mut self, view: u32) {
        let watched = self.slots.get(view).is_some_and(|slot| slot.rests.is_none());
        if !watched || !self.session.is_live() {
            return;
        }
        self.unsubscribe(view);
        let sub = self.tabs.next_sub();
        let Some(slot) = self.slots.get_mut(view) else { return };
        // An opening that failed for now is due with the connection at the latest.
        slot.view.reopen();
        if let Some(frame) = slot.view.subscribe(sub) {
            slot.sub = Some(sub);
            self.send(&frame);
        }
    }

    fn ask(&mut self, now: Now, view: u32, act: impl FnOnce(&mut View) -> Need) {
        let need = self.slots.get_mut(view).map(|slot| act(&mut slot.view));
        match need {
            Some(Need::Subscribe) => self.subscribe(view),
            Some(Need::Later(after)) => self.later(now, view, after),
            Some(Need::Nothing) | None => {}
        }
    }

    fn later(&mut self, now: Now, view: u32, after: Option<u32>) {
        let wait = u64::from(after.unwrap_or(0)) + AGAIN + self.backoff.within(AGAIN);
        if let Some(slot) = self.slots.get_mut(view) {
            slot.retry = Some(now + wait);
        }
    }

    pub(super) fn tick_views(&mut self, now: Now) {
        self.slots.values_mut().for_each(|slot| slot.view.tick(now));
        for view in self.slots.numbers() {
            let Some(slot) = self.slots.get_mut(view).filter(|slot| slot.retry.is_some_and(|at| at <= now)) else {
                continue;
            };
            slot.retry = None;
            slot.view.reopen();
            self.subscribe(view);
        }
    }

    /// The connection stands.
    pub(super) fn subscribe_all(&mut self) {
        for view in self.slots.numbers() {
            self.with(view, View::reopen);
            self.subscribe(view);
        }
    }

    /// The connection is gone, and every subscription with it.
    pub(super) fn disconnect_all(&mut self) {
        for slot in self.slots.values_mut() {
            slot.view.drop_link();
            slot.sub = None;
        }
    }

    pub(super) fn on_sub(&mut self, sub: u32, act: impl FnOnce(&mut View)) {
        if let Some(slot) = self.slots.values_mut().find(|slot| slot.sub == Some(sub)) {
            act(&mut slot.view);
        }
    }

    pub(super) fn on_thread(&mut self, now: Now, thread: &ThreadId, mut act: impl FnMut(&mut View) -> Need) {
        for view in self.slots.numbers() {
            if self.slots.get(view).is_some_and(|slot| slot.view.thread() == thread) {
                self.ask(now, view, &mut act);
            }
        }
    }

    pub(super) fn failed(&mut self, now: Now, sub: u32, problem: Problem) {
        let slot = self.slots.iter_mut().find(|(_, slot)| slot.sub == Some(sub));
        let Some((view, slot)) = slot else { return };
        slot.sub = None;
        if passes(problem.code) {
            slot.view.disconnect();
            self.later(now, view, problem.retry_after);
        } else {
            slot.view.on_failed(sub, problem);
        }
    }

    pub(super) fn page(&mut self, now: Now, request: u32, answer: Result<Window, Problem>) {
        match self.asked.remove(request) {
            Some(Asked::Open(view, opening)) => {
                self.ask(now, view, |view| view.on_open(opening, answer));
                self.make_room();
            }
            Some(Asked::Page(view, side)) => self.ask(now, view, |view| view.on_page(side, answer)),
            Some(Asked::List(_)) | None => {}
        }
    }

    pub(super) fn settle_views(&mut self) {
        for id in self.slots.numbers() {
            let number = self.number();
            let token = self.tabs.token(number);
            let Some(slot) = self.slots.get_mut(id) else { continue };
            let range = slot.view.announce(token);
            let open = slot.view.poll_open();
            let pages: Vec<_> = core::iter::from_fn(|| slot.view.poll_page()).collect();
            while let Some(patch) = slot.view.poll_patch() {
                self.outputs.push(Output::View(id, patch));
            }
            if let Some(range) = range {
                self.send(&range);
                self.send(&ClientFrame::Ping { token });
            }
            let open = open.map(|(opening, page)| (Asked::Open(id, opening), page));
            let pages = pages.into_iter().map(|(side, page)| (Asked::Page(id, side), page));
            for (asked, page) in open.into_iter().chain(pages) {
                let request = self.number();
                self.asked.insert(request, asked);
                self.outputs.push(Output::Fetch(request, Fetch::Window(page)));
            }
        }
    }
}
