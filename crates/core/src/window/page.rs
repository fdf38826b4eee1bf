//! Pages: asking for the next rows of either side and joining them to what is held.

use super::range::covers;
use super::{Edge, Link, Load, MISSES, Need, PAGE, Patch, Phase, Side, View};
use crate::query::{Query, decimal};
use alloc::string::String;
use threadmill_proto::{Anchor, BranchId, ErrorCode, Position, Problem, ThreadId, Window};

/// A window to be read over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PageRequest {
    /// The thread.
    pub thread: ThreadId,
    /// The branch.
    pub branch: Option<BranchId>,
    /// Where.
    pub anchor: Anchor,
    /// Live messages before it.
    pub before: u32,
    /// Live messages from it on.
    pub after: u32,
}

impl PageRequest {
    /// The path and query under `/v1` that answers it.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = Query::new("/threads/", self.thread.as_str(), "/messages");
        match &self.anchor {
            Anchor::Tip => path.put("anchor", "tip"),
            Anchor::Depth(depth) => path.put("anchor", &(String::from("depth:") + &decimal(*depth))),
            Anchor::Message(id) => path.put("anchor", &(String::from("message:") + id.as_str())),
            Anchor::Time(at) => path.put("anchor", &(String::from("time:") + &decimal(*at))),
        }
        path.put("before", &decimal(self.before.into()));
        path.put("after", &decimal(self.after.into()));
        if let Some(branch) = &self.branch {
            path.put("branch", branch.as_str());
        }
        path.done()
    }
}

impl View {
    /// The reader wants the next page of a side. Asking again while it is on its way does nothing, and
    /// neither does asking where nothing is left: both are answered by the page, or at once.
    pub fn want(&mut self, side: Side) {
        if !self.has_more(side) {
            self.patches.push(Patch::Loaded { side, added: 0, problem: None });
        } else if *self.load(side) == Load::Idle {
            *self.load(side) = Load::Wanted;
        }
    }

    /// The next page to read, if one is wanted.
    pub fn poll_page(&mut self) -> Option<(Side, PageRequest)> {
        let side = [Side::Older, Side::Newer].into_iter().find(|side| *self.load(*side) == Load::Wanted)?;
        *self.load(side) = Load::InFlight;
        let (anchor, before, after) = match side {
            Side::Older => (Anchor::Depth(self.head.from), PAGE, 0),
            Side::Newer => (Anchor::Depth(self.head.to), 0, PAGE),
        };
        let request =
            PageRequest { thread: self.thread.clone(), branch: self.head.branch.clone(), anchor, before, after };
        Some((side, request))
    }

    /// The answer to a page request.
    pub fn on_page(&mut self, side: Side, answer: Result<Window, Problem>) -> Need {
        if *self.load(side) != Load::InFlight {
            return Need::Nothing;
        }
        *self.load(side) = Load::Idle;
        match answer {
            Err(problem) => {
                self.patches.push(Patch::Loaded { side, added: 0, problem: Some(problem) });
                Need::Nothing
            }
            // The window is about to be replaced by one that may have been read before this page.
            Ok(_) if self.place.is_some() => {
                self.patches.push(Patch::Loaded { side, added: 0, problem: None });
                Need::Nothing
            }
            // Nobody has said yet what the server kept when it was started anew.
            Ok(page) if page.cursor.position.epoch > self.position.epoch && !self.is_live() => {
                *self.load(side) = Load::Held;
                Need::Nothing
            }
            Ok(page) if self.fits(side, &page) => self.merge(side, page),
            Ok(_) if self.misses < MISSES => {
                self.misses += 1;
                self.want(side);
                Need::Nothing
            }
            Ok(_) => {
                self.misses = 0;
                let behind = Problem::new(ErrorCode::Unavailable, "the pages read do not join the window");
                self.patches.push(Patch::Loaded { side, added: 0, problem: Some(behind) });
                Need::Nothing
            }
        }
    }

    fn has_more(&self, side: Side) -> bool {
        self.head.phase == Phase::Ready
            && match side {
                Side::Older => self.head.from > 0,
                Side::Newer => self.head.to < self.head.total,
            }
    }

    pub(super) fn load(&mut self, side: Side) -> &mut Load {
        match side {
            Side::Older => &mut self.older,
            Side::Newer => &mut self.newer,
        }
    }

    /// The page continues what is held and is not behind anything of it.
    fn fits(&self, side: Side, page: &Window) -> bool {
        let joins = match side {
            Side::Older => page.to == self.head.from && page.from < page.to,
            Side::Newer => page.from == self.head.to && page.from < page.to,
        };
        joins
            && self.head.branch.as_ref() == Some(&page.branch)
            && self.is_of_one_history(&page.cursor.position)
            && !self.is_ahead_of(&page.cursor.position)
    }

    /// A page of a later epoch is known to be of the same history once the server has gone on from here.
    fn is_of_one_history(&self, page: &Position) -> bool {
        let here = &self.position;
        let later = self.is_live() && page.epoch > here.epoch && page.seq >= here.seq;
        page.epoch == here.epoch || later
    }

    fn merge(&mut self, side: Side, page: Window) -> Need {
        self.misses = 0;
        self.seen = self.seen.max(page.cursor.position.seq);
        self.head.total = self.head.total.max(page.total);
        match side {
            Side::Older => self.head.from = page.from,
            Side::Newer => self.head.to = page.to,
        }
        self.reached = self.reached.max(self.head.to);
        let taken = self.take_runs(&page);
        let rows = self.rows_of(page);
        let added = rows.len();
        match side {
            Side::Older => drop(self.rows.splice(..0, rows.iter().cloned())),
            Side::Newer => self.rows.extend_from_slice(&rows),
        }
        if added > 0 {
            self.patches.push(match side {
                Side::Older => Patch::Prepend(rows),
                Side::Newer => Patch::Append(rows),
            });
        }
        self.evict(match side {
            Side::Older => Side::Newer,
            Side::Newer => Side::Older,
        });
        self.answer(side, added);
        self.cover(taken)
    }

    /// A page of tombstones alone is followed by the next one, or a reader at its edge would wait for ever.
    fn answer(&mut self, side: Side, added: usize) {
        if added == 0 && self.has_more(side) {
            *self.load(side) = Load::Wanted;
        } else {
            self.patches.push(Patch::Loaded { side, added, problem: None });
        }
    }

    /// Depths the server did not know of when it sent the last events may have missed some, and chunks of a
    /// run that was not followed were dropped: resume, which replays both. With the slack around the window
    /// this is rare.
    fn cover(&self, taken: usize) -> Need {
        let known = match self.link {
            Link::Live(_) => self.confirmed,
            Link::Asked(_) => self.announced,
            Link::Down => return Need::Nothing,
        };
        if taken > 0 || !covers(known, self.held_range()) { Need::Subscribe } else { Need::Nothing }
    }

    /// Whether a new message at the tip is taken in.
    pub(super) fn takes(&self, bytes: usize) -> bool {
        self.edge == Edge::Live || (self.rows.len() < super::MAX_ROWS && self.bytes() + bytes <= super::MAX_BYTES)
    }
}
