//! The engine's thread lists: their pages, and the summary log that carries them on.

use super::views::AGAIN;
use super::{Asked, Engine, Fetch, Output};
use crate::Now;
use crate::list::{Answered, List, ListPage};
use threadmill_proto::{ClientFrame, Problem, Summary};

#[derive(Debug)]
pub(super) struct ListSlot {
    pub(super) list: List,
    /// When to ask again after a failure that passes.
    pub(super) retry: Option<Now>,
}

impl ListSlot {
    pub(super) fn new(title: Option<&str>) -> Self {
        Self { list: List::new(title), retry: None }
    }

    /// Asks for the next page, or again for the one that failed.
    pub(super) fn want(&mut self) {
        self.retry = None;
        self.list.want();
    }
}

/// The summary log as this connection follows it.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The last place seen; none before a list was read.
    pub(super) pos: Option<u64>,
    pub(super) following: Following,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Following {
    #[default]
    No,
    /// From this place on; what comes before the answer is for other tabs, which may be further.
    Asked(u64),
    Yes,
}

impl Engine {
    pub(super) fn summaries(&mut self, pos: u64, items: &[Summary]) {
        match self.feed.following {
            Following::Asked(since) if pos == since && items.is_empty() => self.feed.following = Following::Yes,
            Following::Yes => self.feed.pos = self.feed.pos.map(|seen| seen.max(pos)),
            Following::No | Following::Asked(_) => {}
        }
        self.lists.values_mut().for_each(|slot| slot.list.on_summaries(items));
    }

    pub(super) fn list_page(&mut self, now: Now, request: u32, answer: Result<ListPage, Problem>) {
        let Some(Asked::List(list)) = self.asked.remove(request) else { return };
        let Some(slot) = self.lists.get_mut(list) else { return };
        if let Ok(page) = &answer {
            self.feed.pos.get_or_insert(page.pos);
        }
        if let Answered::Again(after) = slot.list.on_page(answer) {
            slot.retry = Some(now + u64::from(after) + AGAIN + self.backoff.within(AGAIN));
        }
        self.follow();
    }

    pub(super) fn follow(&mut self) {
        let following = self.feed.following != Following::No;
        if let (true, false, Some(since)) = (self.session.is_live(), following, self.feed.pos) {
            self.feed.following = Following::Asked(since);
            self.send(&ClientFrame::FollowList { since });
        }
    }

    pub(super) fn tick_lists(&mut self, now: Now) {
        for slot in self.lists.values_mut().filter(|slot| slot.retry.is_some_and(|at| at <= now)) {
            slot.want();
        }
    }

    /// The connection stands: what failed is due with it at the latest.
    pub(super) fn want_lists(&mut self) {
        for slot in self.lists.values_mut().filter(|slot| slot.retry.is_some() || !slot.list.head().ready) {
            slot.want();
        }
    }

    pub(super) fn settle_lists(&mut self) {
        for id in self.lists.numbers() {
            let request = self.number();
            let Some(ListSlot { list, .. }) = self.lists.get_mut(id) else { continue };
            let page = list.poll_page();
            while let Some(patch) = list.poll_patch() {
                self.outputs.push(Output::List(id, patch));
            }
            if let Some(page) = page {
                self.asked.insert(request, Asked::List(id));
                self.outputs.push(Output::Fetch(request, Fetch::List(page)));
            }
        }
    }
}
