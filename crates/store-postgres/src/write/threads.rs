//! Threads: made, changed, deleted.

use threadmill_proto::{BranchId, ChainHash, Change, JsonText, Millis, Summary, Thread, ThreadId};
use threadmill_store::{Applied, Conflict};

use super::lines;
use super::work::Work;
use crate::codec::fits;
use crate::fail::{Done, damage};
use crate::rows::{Principal, ThreadRow};
use crate::sheet::{Mark, Sheet, ThreadSheet};

/// Makes a thread with nothing in it.
pub(super) fn make(
    sheet: &mut Sheet,
    who: Principal,
    at: Millis,
    id: &ThreadId,
    title: &str,
    metadata: Option<&JsonText>,
) -> Done<ThreadSheet> {
    if sheet.thread(who.tenant, id).is_some() {
        return Err(Conflict::IdTaken.into());
    }
    fits(at)?;
    let reserved = sheet.threads_reserved.pop().ok_or_else(|| damage("no number is reserved for a thread"))?;
    let row = ThreadRow {
        num: reserved.num,
        tenant: who.tenant,
        owner: who.user,
        id: id.clone(),
        title: title.to_owned(),
        metadata: metadata.cloned(),
        archived: false,
        hidden: false,
        default_branch: 0,
        secret: reserved.secret,
        base: reserved.base,
        epoch: 0,
        seq: 0,
        hash: ChainHash::default(),
        branches: 0,
        messages: 0,
        created_at: at,
        updated_at: at,
    };
    Ok(ThreadSheet::new(row, Mark::Fresh))
}

impl Work<'_> {
    pub(super) async fn shown(&mut self) -> Done<Thread> {
        let branch = self.thread.branch(self.db, self.thread.row.default_branch).await?;
        Ok(self.thread.row.shown(branch.id.clone()))
    }

    pub(super) async fn first_branch(&mut self, id: &BranchId) -> Done<Applied> {
        lines::make(self.db, &mut self.thread, id, None).await?;
        let title = self.thread.row.title.clone();
        self.log(Change::ThreadCreated { branch: id.clone(), title }, None);
        Ok(Applied::Thread(self.shown().await?))
    }

    pub(super) async fn update_thread(
        &mut self,
        title: Option<&str>,
        archived: Option<bool>,
        default_branch: Option<&BranchId>,
    ) -> Done<Applied> {
        self.retitle(title, archived);
        if let Some(id) = default_branch {
            let line = self.thread.named_or_default(self.db, Some(id)).await?;
            self.open_on(line.num, id);
        }
        Ok(Applied::Thread(self.shown().await?))
    }

    /// Changes title and flag, if they differ.
    pub(super) fn retitle(&mut self, title: Option<&str>, archived: Option<bool>) {
        let title = title.unwrap_or(&self.thread.row.title).to_owned();
        let archived = archived.unwrap_or(self.thread.row.archived);
        if title != self.thread.row.title || archived != self.thread.row.archived {
            let row = self.thread.change();
            row.title.clone_from(&title);
            row.archived = archived;
            self.log(Change::ThreadUpdated { title, archived }, None);
        }
    }

    /// Makes another branch the default one.
    pub(super) fn open_on(&mut self, num: i64, id: &BranchId) {
        if self.thread.row.default_branch != num {
            self.thread.change().default_branch = num;
            self.log(Change::DefaultBranchMoved { branch: id.clone() }, None);
        }
    }

    /// Says that the thread is gone. It is taken out of the sheet when the transaction settles.
    pub(super) fn delete_thread(&mut self) -> Applied {
        self.log(Change::ThreadDeleted, None);
        self.push_summary(Summary {
            thread: self.thread.row.id.clone(),
            pos: 0,
            title: String::new(),
            snippet: String::new(),
            running: false,
            archived: self.thread.row.archived,
            deleted: true,
            updated_at: self.at,
        });
        Applied::Deleted
    }
}
