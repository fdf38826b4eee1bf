//! Lines on the model: making a branch, putting a message into its next slot, finding siblings.

use threadmill_proto::{BranchId, Change, Message, MessageId, Segment};

use super::state::{BranchState, ThreadState};
use super::transaction::Work;
use crate::{Conflict, KEPT_SEGMENTS, MAX_SEGMENTS, Missing, StoreResult, lineage_prefix};

impl ThreadState {
    pub(super) fn find_branch(&self, id: &BranchId) -> StoreResult<usize> {
        self.branches.iter().position(|branch| branch.id == *id).ok_or_else(|| Missing::Branch.into())
    }

    /// The branch named, or the default one.
    pub(super) fn named_or_default(&self, id: Option<&BranchId>) -> StoreResult<usize> {
        id.map_or(Ok(self.default_branch), |id| self.find_branch(id))
    }

    pub(super) fn is_on(&self, branch: usize, message: &Message) -> bool {
        let line = &self.branches[branch].line;
        usize::try_from(message.depth).is_ok_and(|depth| line.get(depth) == Some(&message.id))
    }

    /// The message before this one.
    fn pred(&self, message: &Message) -> Option<&MessageId> {
        let own = self.find_branch(&message.branch).ok()?;
        let before = usize::try_from(message.depth).ok()?.checked_sub(1)?;
        self.branches[own].line.get(before)
    }

    /// The messages that follow the same message as this one, itself included, in the order of their making.
    pub(super) fn siblings(&self, message: &Message) -> Vec<&Message> {
        let pred = self.pred(message);
        self.messages.iter().filter(|other| other.depth == message.depth && self.pred(other) == pred).collect()
    }

    /// Makes an empty branch after the message `after`, or a line of its own.
    pub(super) fn make_branch(&mut self, id: &BranchId, after: Option<&MessageId>) -> StoreResult<usize> {
        if self.find_branch(id).is_ok() {
            return Err(Conflict::IdTaken.into());
        }
        let (parent, depth, line, lineage) = match after {
            None => (None, 0, Vec::new(), Vec::new()),
            Some(after) => {
                let after = self.message(after)?;
                let depth = after.depth + 1;
                let parent = &self.branches[self.find_branch(&after.branch)?];
                (
                    Some(parent.id.clone()),
                    depth,
                    parent.line[..usize::try_from(depth).unwrap_or(usize::MAX)].to_vec(),
                    inherited(&parent.lineage, depth),
                )
            }
        };
        let own = Segment { branch: id.clone(), from: lineage.last().map_or(depth, |(_, end)| *end) };
        let mut lineage: Vec<Segment> = lineage.into_iter().map(|(segment, _)| segment).collect();
        lineage.push(own);
        self.branches.push(BranchState {
            id: id.clone(),
            parent,
            fork_depth: depth,
            made: self.messages.len(),
            line,
            lineage,
        });
        Ok(self.branches.len() - 1)
    }
}

/// The segments a branch that forks at `depth` inherits, each with its end. Too many are cut to the oldest: what
/// lies after them becomes the branch's own.
fn inherited(parent: &[Segment], depth: u64) -> Vec<(Segment, u64)> {
    let pairs: Vec<_> = parent.iter().map(|segment| (segment.branch.clone(), segment.from)).collect();
    let mut prefix = lineage_prefix(&pairs, depth);
    let mut end = depth;
    if prefix.len() + 1 > MAX_SEGMENTS {
        end = prefix[KEPT_SEGMENTS].1;
        prefix.truncate(KEPT_SEGMENTS);
    }
    let ends: Vec<u64> = prefix.iter().skip(1).map(|(_, from)| *from).chain([end]).collect();
    prefix.into_iter().zip(ends).map(|((branch, from), end)| (Segment { branch, from }, end)).collect()
}

impl Work<'_> {
    pub(super) fn branch_at(&self, id: &BranchId) -> StoreResult<usize> {
        self.thread.find_branch(id)
    }

    pub(super) fn make_branch(&mut self, id: &BranchId, after: Option<&MessageId>) -> StoreResult<usize> {
        self.thread.make_branch(id, after)
    }

    /// A new branch that shares the line up to `depth`.
    pub(super) fn fork_before(&mut self, branch: usize, depth: u64, id: &BranchId) -> StoreResult<usize> {
        let line = &self.thread.branches[branch].line;
        let before = usize::try_from(depth).unwrap_or(usize::MAX).checked_sub(1);
        let after = before.map(|before| line[before].clone());
        self.make_branch(id, after.as_ref())
    }

    /// Says that a branch left its parent with the message just placed.
    pub(super) fn log_fork(&mut self, branch: usize, placed: &Message) {
        let siblings = self.thread.siblings(placed);
        let before = siblings[siblings.len() - 2];
        let line = &self.thread.branches[branch];
        let depth = usize::try_from(line.fork_depth).unwrap_or(usize::MAX);
        let change = Change::BranchForked {
            branch: line.id.clone(),
            parent: line.parent.clone(),
            depth: line.fork_depth,
            after: depth.checked_sub(1).map(|before| line.line[before].clone()),
            message: placed.id.clone(),
            sibling: before.id.clone(),
            sibling_branch: before.branch.clone(),
            index: siblings.len() as u64 - 1,
        };
        self.log(change, None);
    }
}

impl ThreadState {
    /// Puts a message into the next slot of a branch. Its branch and depth are set here.
    pub(super) fn place(&mut self, branch: usize, mut message: Message) -> StoreResult<Message> {
        if self.message(&message.id).is_ok() {
            return Err(Conflict::IdTaken.into());
        }
        let line = &mut self.branches[branch];
        message.branch = line.id.clone();
        message.depth = line.line.len() as u64;
        line.line.push(message.id.clone());
        self.messages.push(message.clone());
        Ok(message)
    }
}
