//! Threads: made, changed, deleted.

use threadmill_proto::{BranchId, Change, JsonText, Millis, Summary, ThreadId};
use threadmill_store::{Applied, Conflict};

use super::work::Work;
use super::{lines, removal};
use crate::db::Db;
use crate::fail::Done;
use crate::rows::{Principal, ThreadRow, branch, thread};

/// Makes the thread row.
pub(crate) fn make(
    db: &Db<'_>,
    who: Principal,
    at: Millis,
    id: &ThreadId,
    title: &str,
    metadata: Option<&JsonText>,
) -> Done<ThreadRow> {
    if thread::any(db, who.tenant, id)?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    let row = ThreadRow {
        num: 0,
        tenant: who.tenant,
        owner: who.user,
        id: id.clone(),
        title: title.to_owned(),
        metadata: metadata.cloned(),
        archived: false,
        hidden: false,
        default_branch: 0,
        secret: [0; 32],
        epoch: 0,
        seq: 0,
        hash: threadmill_proto::ChainHash::default(),
        branches: 0,
        messages: 0,
        created_at: at,
        updated_at: at,
    };
    thread::insert(db, row)
}

impl Work<'_> {
    pub(crate) fn first_branch(&mut self, id: &BranchId) -> Done<Applied> {
        lines::make(self.db, &mut self.thread, id, None)?;
        let title = self.thread.title.clone();
        self.log(Change::ThreadCreated { branch: id.clone(), title }, None)?;
        Ok(Applied::Thread(self.thread.shown(self.db)?))
    }

    pub(crate) fn update_thread(
        &mut self,
        title: Option<&str>,
        archived: Option<bool>,
        default_branch: Option<&BranchId>,
    ) -> Done<Applied> {
        let title = title.unwrap_or(&self.thread.title).to_owned();
        let archived = archived.unwrap_or(self.thread.archived);
        if title != self.thread.title || archived != self.thread.archived {
            self.thread.title.clone_from(&title);
            self.thread.archived = archived;
            self.log(Change::ThreadUpdated { title, archived }, None)?;
        }
        if let Some(id) = default_branch {
            let line = branch::named_or_default(self.db, &self.thread, Some(id))?;
            self.open_on(line.num, id)?;
        }
        Ok(Applied::Thread(self.thread.shown(self.db)?))
    }

    /// Makes another branch the default one.
    pub(crate) fn open_on(&mut self, num: i64, id: &BranchId) -> Done<()> {
        if self.thread.default_branch == num {
            return Ok(());
        }
        self.thread.default_branch = num;
        self.log(Change::DefaultBranchMoved { branch: id.clone() }, None)
    }

    pub(crate) fn delete_thread(&mut self) -> Done<Applied> {
        self.log(Change::ThreadDeleted, None)?;
        removal::remember(self.db, &self.thread)?;
        self.effects.extend(removal::bury(self.db, &self.thread)?);
        self.push_summary(Summary {
            thread: self.thread.id.clone(),
            pos: 0,
            title: String::new(),
            snippet: String::new(),
            running: false,
            archived: self.thread.archived,
            deleted: true,
            updated_at: self.at,
        })?;
        Ok(Applied::Deleted)
    }
}
