//! A thread under its row's lock.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use threadmill_proto::message::Body;
use threadmill_proto::{BranchId, ChainHash, MessageId, Millis};
use threadmill_store::relational::{BranchRow, Followers, MessageRow, NONE, Pred, Sibling, ThreadRow};

use super::mark::Mark;

/// A row and what is to be done about it.
#[derive(Debug)]
pub(super) struct Entry<T> {
    pub(super) row: Arc<T>,
    pub(super) mark: Mark,
}

impl<T> Clone for Entry<T> {
    fn clone(&self) -> Self {
        Self { row: self.row.clone(), mark: self.mark }
    }
}

/// A record to be added to the log.
#[derive(Debug, Clone)]
pub(crate) struct ChangeRow {
    pub(crate) seq: u64,
    pub(crate) at: Millis,
    pub(crate) hash: ChainHash,
    pub(crate) record: Vec<u8>,
}

/// A message's place among its siblings, to be written. Messages and branches by id.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    pub(crate) pred: i64,
    pub(crate) index: u64,
    pub(crate) prev: Option<(MessageId, BranchId)>,
    pub(crate) next: Option<(MessageId, BranchId)>,
}

/// See the module.
#[derive(Debug, Clone)]
pub(crate) struct ThreadSheet {
    pub(crate) row: ThreadRow,
    pub(crate) mark: Mark,
    /// Its metadata changed, which is seldom: it is not written with the rest of the row.
    pub(crate) redescribed: bool,
    pub(super) branches: BTreeMap<i64, Entry<BranchRow>>,
    pub(super) branch_ids: HashMap<BranchId, Option<i64>>,
    pub(super) messages: BTreeMap<i64, Entry<MessageRow>>,
    pub(super) message_ids: HashMap<MessageId, Option<i64>>,
    pub(super) slots: BTreeMap<(i64, u64), i64>,
    pub(crate) new_slots: Vec<(i64, u64, i64)>,
    /// By the message that they follow, and whether there is a row about them: so it is where there are at least two.
    pub(super) followers: BTreeMap<i64, (Followers, Mark)>,
    /// By message.
    pub(crate) links: BTreeMap<i64, Link>,
    /// Links that are in the database and get a next one, by message.
    pub(crate) relinked: BTreeMap<i64, (MessageId, BranchId)>,
    pub(crate) changes: Vec<ChangeRow>,
    /// Records older than this go.
    pub(crate) prune_before: Option<Millis>,
}

impl ThreadSheet {
    /// A thread with nothing known of it but its row.
    pub(crate) fn new(row: ThreadRow, mark: Mark) -> Self {
        Self {
            row,
            mark,
            redescribed: false,
            branches: BTreeMap::new(),
            branch_ids: HashMap::new(),
            messages: BTreeMap::new(),
            message_ids: HashMap::new(),
            slots: BTreeMap::new(),
            new_slots: Vec::new(),
            followers: BTreeMap::new(),
            links: BTreeMap::new(),
            relinked: BTreeMap::new(),
            changes: Vec::new(),
            prune_before: None,
        }
    }

    /// Notes a branch that was read. What is known already stays: it may have changed here since.
    pub(crate) fn note_branch(&mut self, row: BranchRow) {
        self.branch_ids.entry(row.id.clone()).or_insert(Some(row.num));
        self.branches.entry(row.num).or_insert_with(|| Entry { row: Arc::new(row), mark: Mark::Kept });
    }

    /// Notes a message that was read.
    pub(crate) fn note_message(&mut self, row: MessageRow) {
        self.message_ids.entry(row.id.clone()).or_insert(Some(row.num));
        self.messages.entry(row.num).or_insert_with(|| Entry { row: Arc::new(row), mark: Mark::Kept });
    }

    /// Notes that there is no such branch, unless one is known.
    pub(crate) fn note_no_branch(&mut self, id: &BranchId) {
        self.branch_ids.entry(id.clone()).or_insert(None);
    }

    /// Notes that there is no such message, unless one is known.
    pub(crate) fn note_no_message(&mut self, id: &MessageId) {
        self.message_ids.entry(id.clone()).or_insert(None);
    }

    /// Notes what follows a message, unless it is known.
    pub(crate) fn note_followers(&mut self, pred: i64, followers: Followers) {
        self.followers.entry(pred).or_insert((followers, Mark::Kept));
    }

    /// Adds a branch.
    pub(crate) fn add_branch(&mut self, row: BranchRow) {
        self.branch_ids.insert(row.id.clone(), Some(row.num));
        self.branches.insert(row.num, Entry { row: Arc::new(row), mark: Mark::Fresh });
    }

    /// Adds a message in a slot, which nothing follows yet.
    pub(crate) fn add_message(&mut self, row: MessageRow) {
        self.slots.insert((row.branch, row.depth), row.num);
        self.new_slots.push((row.branch, row.depth, row.num));
        self.message_ids.insert(row.id.clone(), Some(row.num));
        self.followers.insert(row.num, (Followers::NOBODY, Mark::Kept));
        self.messages.insert(row.num, Entry { row: Arc::new(row), mark: Mark::Fresh });
    }

    /// Adds a slot that shares a message.
    pub(crate) fn add_slot(&mut self, branch: i64, depth: u64, message: i64) {
        self.slots.insert((branch, depth), message);
        self.new_slots.push((branch, depth, message));
    }

    /// Writes a branch back.
    pub(crate) fn put_branch(&mut self, row: BranchRow) {
        let mark = self.branches.get(&row.num).map_or(Mark::Kept, |entry| entry.mark).touched();
        self.branches.insert(row.num, Entry { row: Arc::new(row), mark });
    }

    /// Writes a message back.
    pub(crate) fn put_message(&mut self, row: MessageRow) {
        let mark = self.messages.get(&row.num).map_or(Mark::Kept, |entry| entry.mark).touched();
        self.messages.insert(row.num, Entry { row: Arc::new(row), mark });
    }

    /// Moves a streaming message's checkpoint, if the message is known here. Returns whether it is.
    pub(crate) fn fold(&mut self, num: i64, body: &Body) -> bool {
        let Some(entry) = self.messages.get_mut(&num) else {
            return false;
        };
        Arc::make_mut(&mut entry.row).body = body.clone();
        entry.mark = entry.mark.touched();
        true
    }

    /// Notes that a message follows `pred` (none: it begins a line) after those that did, of which `last` was the last.
    pub(crate) fn link(&mut self, pred: Option<Pred>, before: Followers, last: Option<&Sibling>, new: &Sibling) {
        let pred = pred.map_or(NONE, |pred| pred.num);
        let mark = match self.followers.get(&pred) {
            Some((_, mark)) if before.total > 1 => mark.touched(),
            Some(_) | None => Mark::Fresh,
        };
        self.followers.insert(pred, (Followers { total: before.total + 1, last: new.num }, mark));
        let Some(last) = last else { return };
        let next = (new.id.clone(), new.branch.clone());
        if before.total == 1 {
            self.links.insert(last.num, Link { pred, index: 0, prev: None, next: Some(next) });
        } else if let Some(link) = self.links.get_mut(&last.num) {
            link.next = Some(next);
        } else {
            self.relinked.insert(last.num, next);
        }
        let prev = Some((last.id.clone(), last.branch.clone()));
        self.links.insert(new.num, Link { pred, index: before.total, prev, next: None });
    }

    /// The branches to be inserted or updated.
    pub(crate) fn branches_marked(&self, mark: Mark) -> impl Iterator<Item = &BranchRow> {
        self.branches.values().filter(move |entry| entry.mark == mark).map(|entry| &*entry.row)
    }

    /// The messages to be inserted or updated.
    pub(crate) fn messages_marked(&self, mark: Mark) -> impl Iterator<Item = &MessageRow> {
        self.messages.values().filter(move |entry| entry.mark == mark).map(|entry| &*entry.row)
    }

    /// What is to be written about followers, by predecessor.
    pub(crate) fn forkpoints(&self) -> impl Iterator<Item = (i64, Followers)> {
        let written = self.followers.iter().filter(|(_, (followers, mark))| followers.total > 1 && *mark != Mark::Kept);
        written.map(|(pred, (followers, _))| (*pred, *followers))
    }

    /// Whether a message is written with the thread, whatever is to be written of it otherwise.
    pub(crate) fn writes(&self, message: i64) -> bool {
        self.messages.get(&message).is_some_and(|entry| entry.mark != Mark::Kept)
    }
}
