//! The thread list: summaries by their place in the summary log, newest first.
//!
//! Pages come from HTTP, changes from the socket; a thread's entry with the higher place wins, wherever
//! it came from, so that a late page brings back nothing. Entries that leave the list (deleted, archived,
//! no longer matching) are remembered by their place alone.

use crate::query::{Query, decimal};
use crate::queue::Queue;
use crate::session::passes;
use alloc::string::String;
use alloc::vec::Vec;
use threadmill_proto::{Problem, Summary, ThreadId, TitleFilter};

/// Threads in a page.
pub const PAGE: u32 = 50;

/// What a list shows apart from its threads.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListHead {
    /// The first page has come.
    pub ready: bool,
    /// Why the last page did not come.
    pub problem: Option<Problem>,
    /// There are older threads.
    pub has_more: bool,
    /// A page is on its way.
    pub loading: bool,
}

/// One step from the list a host has to the list there is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ListPatch {
    /// Everything apart from the threads.
    Head(ListHead),
    /// The thread's entry is now this, at this index of the list without it.
    Put {
        /// Where, from the newest.
        index: usize,
        /// The entry.
        entry: Summary,
    },
    /// The thread is listed no more.
    Remove(ThreadId),
}

/// A page of the list to be read over HTTP.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListRequest {
    /// Part of the title.
    pub title: Option<String>,
    /// Where the page begins; none for the first.
    pub page: Option<String>,
}

impl ListRequest {
    /// The path and query under `/v1` that answers it.
    #[must_use]
    pub fn path(&self) -> String {
        let mut path = Query::new("/threads", "", "");
        path.put("limit", &decimal(PAGE.into()));
        for (name, value) in [("page", &self.page), ("title", &self.title)] {
            if let Some(value) = value {
                path.put(name, value);
            }
        }
        path.done()
    }
}

/// A page of the list as HTTP gives it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ListPage {
    /// The entries.
    pub threads: Vec<Summary>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// The place in the summary log the page was read at.
    pub pos: u64,
}

/// What became of a page request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub enum Answered {
    /// It came, or will not come.
    Settled,
    /// It did not come now; after so many milliseconds it may.
    Again(u32),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Load {
    Idle,
    Wanted,
    InFlight,
}

/// One list.
#[derive(Debug)]
pub struct List {
    title: Option<String>,
    filter: TitleFilter,
    entries: Vec<Summary>,
    /// The newest place heard of for each thread, in order of thread.
    seen: Vec<(ThreadId, u64)>,
    next: Option<String>,
    load: Load,
    head: ListHead,
    shown: Option<ListHead>,
    patches: Queue<ListPatch>,
}

impl List {
    /// A list, of the threads whose title contains `title` if one is given; its first page is wanted.
    #[must_use]
    pub fn new(title: Option<&str>) -> Self {
        Self {
            title: title.map(Into::into),
            filter: TitleFilter::new(title.unwrap_or_default()),
            entries: Vec::new(),
            seen: Vec::new(),
            next: None,
            load: Load::Wanted,
            head: ListHead::default(),
            shown: None,
            patches: Queue::default(),
        }
    }

    /// The entries, newest first.
    #[must_use]
    pub fn entries(&self) -> &[Summary] {
        &self.entries
    }

    /// Everything apart from the entries.
    #[must_use]
    pub fn head(&self) -> &ListHead {
        &self.head
    }

    /// The reader wants the next page; does nothing while one is on its way or none is left.
    pub fn want(&mut self) {
        if self.load == Load::Idle && (!self.head.ready || self.next.is_some()) {
            self.load = Load::Wanted;
        }
    }

    /// The next page to read, if one is wanted.
    pub fn poll_page(&mut self) -> Option<ListRequest> {
        if self.load != Load::Wanted {
            return None;
        }
        self.load = Load::InFlight;
        Some(ListRequest { title: self.title.clone(), page: self.next.clone() })
    }

    /// The answer to a page request. What passes by itself is worth asking again, by [`List::want`], after so many
    /// milliseconds and not at once.
    pub fn on_page(&mut self, answer: Result<ListPage, Problem>) -> Answered {
        if self.load != Load::InFlight {
            return Answered::Settled;
        }
        self.load = Load::Idle;
        match answer {
            Ok(page) => {
                self.head.ready = true;
                self.head.problem = None;
                self.next = page.next;
                page.threads.into_iter().for_each(|entry| self.put(entry));
            }
            Err(problem) => {
                let again = passes(problem.code).then(|| Answered::Again(problem.retry_after.unwrap_or(0)));
                self.head.problem = Some(problem);
                return again.unwrap_or(Answered::Settled);
            }
        }
        Answered::Settled
    }

    /// Changes of the summary log. Those that overtake the first page count too: it may have been read
    /// before them.
    pub fn on_summaries(&mut self, items: &[Summary]) {
        items.iter().cloned().for_each(|entry| self.put(entry));
    }

    /// The next patch for the host.
    pub fn poll_patch(&mut self) -> Option<ListPatch> {
        if let Some(patch) = self.patches.pop() {
            return Some(patch);
        }
        self.head.loading = self.load != Load::Idle;
        self.head.has_more = self.next.is_some();
        if self.shown.as_ref() == Some(&self.head) {
            return None;
        }
        self.shown = Some(self.head.clone());
        Some(ListPatch::Head(self.head.clone()))
    }

    fn put(&mut self, entry: Summary) {
        match self.seen.binary_search_by(|(thread, _)| thread.cmp(&entry.thread)) {
            Ok(at) if self.seen[at].1 >= entry.pos => return,
            Ok(at) => self.seen[at].1 = entry.pos,
            Err(at) => self.seen.insert(at, (entry.thread.clone(), entry.pos)),
        }
        let held = self.entries.iter().position(|held| held.thread == entry.thread);
        if let Some(at) = held {
            self.entries.remove(at);
        }
        if !self.shows(&entry) {
            if held.is_some() {
                self.patches.push(ListPatch::Remove(entry.thread));
            }
            return;
        }
        let index = self.entries.partition_point(|held| held.pos > entry.pos);
        self.entries.insert(index, entry.clone());
        self.patches.push(ListPatch::Put { index, entry });
    }

    fn shows(&self, entry: &Summary) -> bool {
        !entry.deleted && !entry.archived && self.filter.finds(&entry.title)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use threadmill_proto::InvalidId;

    fn entry(thread: &str, pos: u64) -> Result<Summary, InvalidId> {
        Ok(Summary {
            thread: ThreadId::parse(thread)?,
            pos,
            title: thread.to_uppercase(),
            snippet: String::new(),
            running: false,
            archived: false,
            deleted: false,
            updated_at: 0,
        })
    }

    fn names(list: &List) -> Vec<&str> {
        list.entries().iter().map(|entry| entry.thread.as_str()).collect()
    }

    fn listed(threads: Vec<Summary>, next: Option<&str>) -> List {
        let mut list = List::new(None);
        list.poll_page();
        let pos = threads.iter().map(|entry| entry.pos).max().unwrap_or(0);
        let _ = list.on_page(Ok(ListPage { threads, next: next.map(Into::into), pos }));
        list
    }

    #[test]
    fn a_change_moves_its_thread_to_the_top() -> Result<(), InvalidId> {
        let mut list = listed(vec![entry("b", 2)?, entry("a", 1)?], None);
        list.on_summaries(&[entry("a", 3)?]);
        assert_eq!(names(&list), ["a", "b"]);
        Ok(())
    }

    #[test]
    fn a_late_page_brings_nothing_back() -> Result<(), InvalidId> {
        let mut list = listed(vec![entry("c", 3)?], Some("2"));
        list.want();
        list.poll_page();
        list.on_summaries(&[Summary { deleted: true, ..entry("b", 5)? }, entry("a", 4)?]);
        let _ = list.on_page(Ok(ListPage { threads: vec![entry("b", 2)?, entry("a", 1)?], next: None, pos: 3 }));
        assert_eq!(names(&list), ["a", "c"]);
        Ok(())
    }

    #[test]
    fn patches_rebuild_the_list() -> Result<(), InvalidId> {
        let mut list = listed(vec![entry("b", 2)?, entry("a", 1)?], None);
        list.on_summaries(&[entry("a", 3)?, Summary { archived: true, ..entry("b", 4)? }, entry("d", 5)?]);
        let mut copy: Vec<Summary> = Vec::new();
        while let Some(patch) = list.poll_patch() {
            match patch {
                ListPatch::Put { index, entry } => {
                    copy.retain(|held| held.thread != entry.thread);
                    copy.insert(index, entry);
                }
                ListPatch::Remove(thread) => copy.retain(|held| held.thread != thread),
                ListPatch::Head(head) => assert!(head.ready && !head.loading),
            }
        }
        assert_eq!(copy, list.entries());
        Ok(())
    }

    #[test]
    fn a_filter_holds_for_live_changes_too() -> Result<(), InvalidId> {
        let mut list = List::new(Some("oo"));
        list.poll_page();
        let _ = list.on_page(Ok(ListPage::default()));
        list.on_summaries(&[entry("foo", 1)?, entry("bar", 2)?]);
        assert_eq!(names(&list), ["foo"]);
        Ok(())
    }
}
