//! Threads: made, changed, deleted.

use threadmill_proto::{BranchId, ChainHash, Change, JsonText, Millis, Summary, ThreadId};

use super::access::{Done, Rows};
use super::budgets;
use super::fail::fits;
use super::lines;
use super::rows::{Principal, ThreadRow};
use super::work::Work;
use crate::{Applied, Conflict};

/// Makes a thread with nothing in it.
pub(super) async fn make<R: Rows>(
    rows: &mut R,
    who: Principal,
    at: Millis,
    id: &ThreadId,
    title: &str,
    metadata: Option<&JsonText>,
) -> Done<R, ThreadRow> {
    if rows.thread(who.tenant, id).await?.is_some() {
        return Err(Conflict::IdTaken.into());
    }
    fits(at)?;
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
        base: 0,
        epoch: 0,
        seq: 0,
        hash: ChainHash::default(),
        branches: 0,
        messages: 0,
        created_at: at,
        updated_at: at,
    };
    rows.add_thread(row).await
}

impl<R: Rows> Work<'_, R> {
    pub(super) async fn first_branch(&mut self, id: &BranchId) -> Done<R, Applied> {
        lines::make(self.rows, &mut self.thread, id, None).await?;
        let title = self.thread.title.clone();
        self.log(Change::ThreadCreated { branch: id.clone(), title }, None).await?;
        Ok(Applied::Thread(self.shown().await?))
    }

    pub(super) async fn update_thread(
        &mut self,
        title: Option<&str>,
        archived: Option<bool>,
        default_branch: Option<&BranchId>,
        metadata: Option<&JsonText>,
    ) -> Done<R, Applied> {
        let before = self.thread.seq;
        self.retitle(title, archived).await?;
        if let Some(metadata) = metadata.filter(|metadata| self.thread.metadata.as_ref() != Some(metadata)) {
            self.thread.metadata = Some(metadata.clone());
            if self.thread.seq == before {
                let (title, archived) = (self.thread.title.clone(), self.thread.archived);
                self.log(Change::ThreadUpdated { title, archived }, None).await?;
            }
        }
        if let Some(id) = default_branch {
            let line = lines::named_or_default(self.rows, &self.thread, Some(id)).await?;
            self.open_on(line.num, id).await?;
        }
        Ok(Applied::Thread(self.shown().await?))
    }

    /// Changes title and flag, if they differ.
    pub(super) async fn retitle(&mut self, title: Option<&str>, archived: Option<bool>) -> Done<R, ()> {
        let title = title.unwrap_or(&self.thread.title).to_owned();
        let archived = archived.unwrap_or(self.thread.archived);
        if title == self.thread.title && archived == self.thread.archived {
            return Ok(());
        }
        self.thread.title.clone_from(&title);
        self.thread.archived = archived;
        self.log(Change::ThreadUpdated { title, archived }, None).await
    }

    /// Makes another branch the default one.
    pub(super) async fn open_on(&mut self, num: i64, id: &BranchId) -> Done<R, ()> {
        if self.thread.default_branch == num {
            return Ok(());
        }
        self.thread.default_branch = num;
        self.log(Change::DefaultBranchMoved { branch: id.clone() }, None).await
    }

    pub(super) async fn delete_thread(&mut self, at: Option<u64>) -> Done<R, Applied> {
        if at.is_some_and(|at| at != self.thread.seq) {
            return Err(Conflict::TipMoved.into());
        }
        self.log(Change::ThreadDeleted, None).await?;
        self.rows.remember(&self.thread).await?;
        for held in self.rows.bury(&self.thread).await? {
            budgets::settle(self.rows, held, None).await?;
        }
        self.push_summary(Summary {
            thread: self.thread.id.clone(),
            pos: 0,
            title: String::new(),
            snippet: String::new(),
            running: false,
            archived: self.thread.archived,
            deleted: true,
            updated_at: self.at,
        })
        .await?;
        Ok(Applied::Deleted)
    }
}
