//! The depths for which the server is asked to send whole events: the window and some slack around it.

use super::{Link, PAGE, View};
use threadmill_proto::ClientFrame;

/// Depths around the window for which full events are asked: a page scans at most four times the slots it
/// shows, so that the next two pages are covered before they are read.
const SLACK: u64 = 8 * PAGE as u64;

/// First depth and one past the last; none follows the tip.
pub(super) type Range = (u64, Option<u64>);

impl View {
    pub(super) fn held_range(&self) -> Range {
        (self.head.from, (!self.at_tip()).then_some(self.head.to))
    }

    pub(super) fn wanted_range(&self) -> Range {
        let end = self.head.to.saturating_add(SLACK);
        (self.head.from.saturating_sub(SLACK), (end < self.head.total).then_some(end))
    }

    /// The `Range` to announce now, if what was announced does not cover the next page; `token` comes back
    /// through [`View::on_pong`] once the server has read it.
    pub fn announce(&mut self, token: u64) -> Option<ClientFrame> {
        let Link::Live(sub) = self.link else { return None };
        let (from, to) = (self.head.from.saturating_sub(SLACK / 2), self.head.to + SLACK / 2);
        let to = (to < self.head.total).then_some(to);
        if covers(self.announced, (from, to)) {
            return None;
        }
        self.announced = self.wanted_range();
        self.range_token = token;
        let (from, to) = self.announced;
        Some(ClientFrame::Range { sub, from, to })
    }

    /// The server has read everything up to the ping with this token.
    pub fn on_pong(&mut self, token: u64) {
        if token != 0 && token == self.range_token {
            self.confirmed = self.announced;
        }
    }
}

/// Whether one range lies within another.
pub(super) fn covers(outer: Range, inner: Range) -> bool {
    outer.0 <= inner.0 && outer.1.is_none_or(|end| inner.1.is_some_and(|to| to <= end))
}
