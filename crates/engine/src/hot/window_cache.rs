//! Windows that some node has read before, kept in the hot tier.
//!
//! A window in which nothing is being written follows from the thread's position and from what was asked for, so it is
//! kept under both and is never wrong, only unused. Where the thread stands, and whether the caller may see it, the
//! durable tier says at every reading, in one question.

use std::sync::Arc;

use threadmill_proto::{BranchId, Scope, Window, from_cbor, to_cbor};
use threadmill_store::hot::{PageKey, ThreadKey};
use threadmill_store::{DurableStore, Peers, Standing, StoreResult, WindowQuery};

use crate::hot::tier::Tier;

/// Reads windows, by way of the hot tier where there is one.
pub(crate) struct WindowCache {
    store: Arc<dyn DurableStore>,
    /// The tier, and who says where a thread stands.
    shared: Option<(Arc<Tier>, Arc<dyn Peers>)>,
}

impl WindowCache {
    pub(crate) fn new(store: Arc<dyn DurableStore>, shared: Option<(Arc<Tier>, Arc<dyn Peers>)>) -> Self {
        Self { store, shared }
    }

    /// A window as the store has it: from the hot tier if it is there, from the durable tier if not.
    /// Where the thread stands is asked for if it is not `known`.
    pub(crate) async fn window(
        &self,
        scope: &Scope,
        query: WindowQuery,
        known: Option<Standing>,
    ) -> StoreResult<Window> {
        let Some((tier, peers)) = &self.shared else { return self.store.window(scope, query).await };
        let asked = Asked::of(&query);
        let standing = match known {
            Some(standing) => standing,
            None => peers.standing(scope, &query.thread).await?,
        };
        let kept = asked.read(tier, asked.key(scope, &query, &standing)).await;
        // The hash tells another history of the same length, should an epoch not have been raised yet.
        if let Some(window) = kept.filter(|window| window.cursor.position == standing.position) {
            return Ok(window);
        }
        let window = self.store.window(scope, query.clone()).await?;
        if window.runs.is_empty() {
            let standing = Standing { position: window.cursor.position, ..standing };
            tier.keep(asked.key(scope, &query, &standing), asked.page(&window));
        }
        Ok(window)
    }
}

/// Everything of a query that its answer depends on, but for the thread and where it stands.
struct Asked(Vec<u8>);

impl Asked {
    fn of(query: &WindowQuery) -> Self {
        let WindowQuery { thread: _, branch, anchor, before, after, limits } = query;
        let numbers = [u64::from(*before), u64::from(*after), limits.bytes as u64, limits.preview as u64];
        let mut bytes = to_cbor(anchor);
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        bytes.push(u8::from(branch.is_some()));
        bytes.extend(branch.iter().flat_map(|branch| branch.as_str().bytes()));
        Self(bytes)
    }

    /// Questions are told apart by a hash; whoever meets another's answer sees by its beginning that it is not his.
    fn key(&self, scope: &Scope, query: &WindowQuery, standing: &Standing) -> PageKey {
        let mut page = [0; 8];
        page.copy_from_slice(&blake3::hash(&self.0).as_bytes()[..8]);
        PageKey {
            thread: ThreadKey { tenant: scope.tenant.clone(), thread: query.thread.clone(), birth: standing.birth },
            branch: query.branch.clone().unwrap_or_else(default_branch),
            page: u64::from_le_bytes(page),
            epoch: standing.position.epoch,
            revision: standing.position.seq,
        }
    }

    /// What is kept: the question's length, the question, and the answer.
    fn page(&self, window: &Window) -> Vec<u8> {
        let length = u32::try_from(self.0.len()).expect("a question is short");
        [&length.to_le_bytes()[..], &self.0, &to_cbor(window)].concat()
    }

    async fn read(&self, tier: &Tier, key: PageKey) -> Option<Window> {
        let page = tier.page(key).await?;
        let (length, rest) = page.split_first_chunk()?;
        let (asked, window) = rest.split_at_checked(u32::from_le_bytes(*length) as usize)?;
        (asked == self.0).then(|| from_cbor(window).ok())?
    }
}

/// Stands for whichever branch opens; what was asked is kept with the answer.
fn default_branch() -> BranchId {
    BranchId::parse("default").expect("a name")
}
