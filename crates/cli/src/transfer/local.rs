//! A store in a directory as a library.

use std::sync::Arc;

use async_trait::async_trait;
use threadmill_engine::{check_title, export_page, settled_rows};
use threadmill_formats::check::{check, check_head};
use threadmill_proto::{BranchId, Limits, Scope, Summary, TenantId, ThreadId, UserId};
use threadmill_store::{
    DurableStore, ExportPage, ImportRow, ImportState, ImportThread, ListQuery, StoreError, StoreResult,
};

use super::library::{Library, Refusal, Step};

/// Bytes of rows read at once.
const EXPORT_BYTES: usize = 1 << 20;

/// See the module.
pub(crate) struct Local {
    store: Arc<dyn DurableStore>,
    scope: Scope,
}

impl Local {
    pub(crate) fn new(store: Arc<dyn DurableStore>, scope: Scope) -> Self {
        Self { store, scope }
    }
}

/// The user whom `--auth dev` takes a caller without credentials for.
pub(crate) fn local_scope(user: &str) -> anyhow::Result<Scope> {
    Ok(Scope { tenant: TenantId::parse("default")?, user: UserId::parse(user)? })
}

fn step<T>(done: StoreResult<T>) -> Step<T> {
    done.map_err(|error| match error {
        StoreError::Invalid(why) => Refusal::Thread(why),
        StoreError::Conflict(why) => Refusal::Thread(why.to_string()),
        StoreError::NotFound(missing) => Refusal::Thread(format!("there is no such {missing}")),
        other => Refusal::Target(other.into()),
    })
}

#[async_trait]
impl Library for Local {
    fn owner(&self) -> String {
        format!("{}/{}", self.scope.tenant, self.scope.user)
    }

    async fn begin(&mut self, thread: ImportThread) -> Step<ImportState> {
        check_title(&thread.title, &Limits::DEFAULT).map_err(|problem| Refusal::Thread(problem.detail))?;
        check_head(&thread).map_err(Refusal::Thread)?;
        step(self.store.import_begin(&self.scope, thread).await)
    }

    async fn rows(&mut self, thread: &ThreadId, rows: Vec<ImportRow>) -> Step<()> {
        rows.iter().try_for_each(check).map_err(Refusal::Thread)?;
        step(self.store.import_rows(&self.scope, thread, settled_rows(rows)).await)
    }

    async fn finish(&mut self, thread: &ThreadId, default_branch: Option<BranchId>) -> Step<()> {
        step(self.store.import_finish(&self.scope, thread, default_branch).await).map(|_| ())
    }

    async fn abort(&mut self, thread: &ThreadId) -> Step<()> {
        step(self.store.import_abort(&self.scope, thread).await)
    }

    async fn threads(&mut self, archived: bool, below: Option<u64>) -> anyhow::Result<(Vec<Summary>, Option<u64>)> {
        let query = ListQuery { limit: Limits::DEFAULT.list_page, below, archived, title: None };
        let page = self.store.threads(&self.scope, query).await?;
        Ok((page.threads, page.next))
    }

    async fn export(&mut self, thread: &ThreadId, from: u64) -> anyhow::Result<ExportPage> {
        Ok(export_page(&*self.store, &self.scope, thread, from, EXPORT_BYTES).await?)
    }
}
